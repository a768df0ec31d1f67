// The recogniser that is a server: the one that serves this page. See recogniser.js for the interface.

import { unpackedDetails } from "./packed.js";
import { Trouble, examplesFrom } from "./recogniser.js";

/** @typedef {import("./recogniser.js").Recogniser} Recogniser */

let token = (() => { try { return sessionStorage.getItem("token") ?? ""; } catch { return ""; } })();

/** @param {string} given */
function authorise(given) {
  token = given;
  try { sessionStorage.setItem("token", given); } catch { /* kept for this view only */ }
}

/** @param {number} status @param {string} body */
function troubleOf(status, body) {
  try {
    const problem = JSON.parse(body);
    return new Trouble(String(problem.type ?? "").replace("urn:whoplays:", "") || String(status), problem.detail ?? problem.title, problem.retry_after);
  } catch {
    return new Trouble(String(status), `HTTP ${status}`);
  }
}

/** @param {string} path */
async function get(path) {
  const answer = await fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {} }).catch(() => { throw new Trouble("away"); });
  if (!answer.ok) throw troubleOf(answer.status, await answer.text());
  return answer;
}

async function labels() {
  const [about, health] = [await (await get("v1/labels")).json(), await (await get("healthz")).json()];
  return {
    model: about.model, version: health.version, labels: about.labels, points: about.operating_points ?? [],
    limits: { mb: about.limits.max_upload_mb, minutes: Math.floor(about.limits.max_duration_s / 60) },
  };
}

/** @type {Recogniser["predict"]} */
function predict(file, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch cannot tell how much was sent
    let read = 0;
    let settled = false;
    let looked = 0;
    const events = () => {
      const text = request.responseText;
      for (let end; (end = text.indexOf("\n\n", read)) >= 0; read = end + 2) {
        const [first, second] = text.slice(read, end).split("\n");
        if (!second) continue;
        const data = JSON.parse(second.slice("data: ".length));
        if (first === "event: progress") onProgress(data);
        settled = true;
        if (first === "event: result") resolve({ ...data, details: unpackedDetails(data.details) });
        else if (first === "event: problem") reject(troubleOf(data.status, JSON.stringify(data)));
        else settled = false;
      }
    };
    request.open("POST", "v1/predict?details=packed");
    request.setRequestHeader("Accept", "text/event-stream");
    if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.upload.onprogress = (e) => e.lengthComputable && onProgress({ sent: e.loaded / e.total });
    request.upload.onload = () => onProgress({ sent: 1 });
    request.onprogress = () => { // reading copies all that has arrived
      if (request.status !== 200 || performance.now() - looked < 200) return;
      looked = performance.now();
      events();
    };
    request.onload = () => {
      if (request.status !== 200) reject(troubleOf(request.status, request.responseText));
      else events();
      if (!settled) reject(new Trouble("away"));
    };
    request.onerror = () => reject(new Trouble("away"));
    request.onabort = () => reject(new Trouble("stopped"));
    signal.addEventListener("abort", () => request.abort());
    const form = new FormData();
    form.append("file", file, file.name);
    request.send(form);
  });
}

/** @type {Recogniser["stream"]} */
async function stream(sampleRate, onScores) {
  const address = new URL("v1/live", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address);
  let ready = false;
  socket.onopen = () => socket.send(JSON.stringify({ sample_rate: sampleRate, token: token || undefined }));
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "ready") ready = true;
    if (message.type === "scores") onScores(message.scores, message.at);
  };
  socket.onclose = () => { ready = false; };
  return {
    // A slow connection loses live scores, never the recording.
    push: (samples) => { if (ready && socket.readyState === WebSocket.OPEN && socket.bufferedAmount < 1 << 20) socket.send(/** @type {Float32Array<ArrayBuffer>} */ (samples)); },
    close: () => socket.close(),
  };
}

/** @type {Recogniser} */
export const server = {
  local: false,
  labels,
  predict,
  stream,
  ...examplesFrom(get),
  authorise,
};
