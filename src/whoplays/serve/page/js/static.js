// The page as static files (`whoplays web build`): the model runs in the browser, and a service worker keeps all files.

import { local } from "./local.js";
import { start } from "./main.js";
import { loading } from "./runtime.js";

const KEEP_AFTER_MS = 5000; // what the first answer needs comes first

start(local);
// Without it, the page works while its host answers.
const keep = () => navigator.serviceWorker?.register("service-worker.js").catch(() => {});
loading.finally(() => setTimeout(keep, KEEP_AFTER_MS)).catch(() => {});
