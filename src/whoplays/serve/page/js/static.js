// The page as static files (`whoplays web build`): the model runs in the browser, and a service worker keeps all files.

import { local } from "./local.js";
import { start } from "./main.js";

const KEEP_AFTER_MS = 5000; // what the first answer needs comes first

start(local);
// Without it, the page works while its host answers.
setTimeout(() => navigator.serviceWorker?.register("service-worker.js").catch(() => {}), KEEP_AFTER_MS);
