// Talking to the server this page came from.

/** What went wrong. kind: "away", "stopped", or the server's own word ("busy", "too-large", "not-a-recording" ...). */
export class Trouble extends Error {
  constructor(kind, detail, retryAfter = 0) {
    super(detail);
    this.kind = kind;
    this.retryAfter = retryAfter;
  }
}

let token = (() => { try { return sessionStorage.getItem("token") ?? ""; } catch { return ""; } })();
export const currentToken = () => token;
export function setToken(given) {
  token = given;
  try { sessionStorage.setItem("token", given); } catch { /* kept for this view only */ }
}

function troubleOf(status, body) {
  try {
    const told = JSON.parse(body);
    return new Trouble(String(told.type ?? "").replace("urn:whoplays:", "") || String(status), told.detail ?? told.title, told.retry_after);
  } catch {
    return new Trouble(String(status), `HTTP ${status}`);
  }
}

/** Get JSON, or post it and get the answer as text. */
export async function call(path, body) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Trouble("away", "");
  }
  const text = await answer.text();
  if (!answer.ok) throw troubleOf(answer.status, text);
  return body === undefined ? JSON.parse(text) : text;
}

/** Send a recording. tell({sent}) from 0 to 1 while it uploads, tell({heard, duration}) while it is heard. */
export function hear(file, name, tell, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch cannot tell how much was sent
    let read = 0;
    let settled = false;
    const events = () => {
      const text = request.responseText;
      for (let end; (end = text.indexOf("\n\n", read)) >= 0; read = end + 2) {
        const [first, second] = text.slice(read, end).split("\n");
        if (!second) continue;
        const data = JSON.parse(second.replace("data: ", ""));
        if (first === "event: progress") tell(data);
        settled = true;
        if (first === "event: result") resolve(data);
        else if (first === "event: problem") reject(troubleOf(data.status, JSON.stringify(data)));
        else settled = false;
      }
    };
    request.open("POST", "/v1/predict?details=true");
    request.setRequestHeader("Accept", "text/event-stream");
    if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.upload.onprogress = (e) => e.lengthComputable && tell({ sent: e.loaded / e.total });
    request.upload.onload = () => tell({ sent: 1 });
    request.onprogress = () => request.status === 200 && events();
    request.onload = () => {
      if (request.status !== 200) reject(troubleOf(request.status, request.responseText));
      else events();
      if (!settled) reject(new Trouble("away", ""));
    };
    request.onerror = () => reject(new Trouble("away", ""));
    request.onabort = () => reject(new Trouble("stopped", ""));
    signal.addEventListener("abort", () => request.abort());
    const form = new FormData();
    form.append("file", file, name);
    request.send(form);
  });
}
