// The page as static files (`whoplays web build`): the model runs in the browser, and a service worker keeps all files.

import { local } from "./local.js";
import { start } from "./main.js";

start(local);
navigator.serviceWorker?.register("service-worker.js").catch(() => {}); // without it, the page works while its host answers
