// The microphone: kept as a file by MediaRecorder, and meanwhile sent as plain samples for scores as they come.

import { currentToken } from "./server.js";

/** Start. live({scores}) about once a second, live({level}) often. Returns stop() -> File. Throws what getUserMedia throws. */
export async function startRecording(name, live) {
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) throw new Error("MediaRecorder");
  // What makes speech clear makes music unclear.
  const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio });
  const recorder = new MediaRecorder(stream);
  const parts = [];
  recorder.ondataavailable = (event) => event.data.size && parts.push(event.data);
  recorder.start(1000);
  const end = await startLive(stream, live).catch(() => () => {});
  return () => new Promise((resolve) => {
    recorder.onstop = () => {
      for (const track of stream.getTracks()) track.stop();
      const type = recorder.mimeType || "audio/webm";
      const suffix = type.includes("mp4") ? "m4a" : type.includes("ogg") ? "ogg" : "webm";
      resolve(new File(parts, `${name}.${suffix}`, { type }));
    };
    end();
    recorder.stop();
  });
}

async function startLive(stream, live) {
  const context = new AudioContext();
  await context.audioWorklet.addModule("/page/js/pcm.js");
  const source = context.createMediaStreamSource(stream);
  const node = new AudioWorkletNode(context, "pcm", { numberOfOutputs: 0 });
  const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/v1/live`);
  let ready = false;
  socket.onopen = () => socket.send(JSON.stringify({ sample_rate: context.sampleRate, token: currentToken() || undefined }));
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "ready") ready = true;
    if (message.type === "scores") live({ scores: message.scores });
  };
  socket.onclose = () => { ready = false; };
  node.port.onmessage = ({ data }) => {
    live({ level: data.reduce((most, x) => Math.max(most, Math.abs(x)), 0) });
    // A slow connection loses live scores, never the recording.
    if (ready && socket.readyState === WebSocket.OPEN && socket.bufferedAmount < 1 << 20) socket.send(data.buffer);
  };
  source.connect(node);
  return () => {
    socket.close();
    context.close();
  };
}
