// The page of `whoplays serve`.

import { start } from "./main.js";
import { server } from "./server.js";

start(server);
