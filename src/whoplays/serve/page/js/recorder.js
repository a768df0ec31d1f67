// The microphone: kept as a file by MediaRecorder, and meanwhile given to the recogniser as plain samples for scores as they come.

/**
 * Start. Throws what getUserMedia throws.
 * @param {import("./recogniser.js").Recogniser} recogniser
 * @param {string} name of the file, without its ending
 * @param {{onScores: (scores: Record<string, number>, at: number) => void, onLevel: (level: number) => void}} live
 *   onScores: about once a second; onLevel: ten times a second, 0 to 1.
 * @returns {Promise<() => Promise<File>>} stop
 */
export async function startRecording(recogniser, name, live) {
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) throw new Error("MediaRecorder");
  // What makes speech clear makes music unclear.
  const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio });
  const recorder = new MediaRecorder(stream);
  /** @type {Blob[]} */
  const parts = [];
  recorder.ondataavailable = (event) => event.data.size && parts.push(event.data);
  recorder.start(1000);
  const end = await startLive(recogniser, stream, live).catch(() => () => {});
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

/** @param {import("./recogniser.js").Recogniser} recogniser @param {MediaStream} microphone @param {{onScores: (scores: Record<string, number>, at: number) => void, onLevel: (level: number) => void}} live */
async function startLive(recogniser, microphone, { onScores, onLevel }) {
  const context = new AudioContext();
  await context.audioWorklet.addModule(new URL("./pcm.js", import.meta.url));
  const source = context.createMediaStreamSource(microphone);
  const node = new AudioWorkletNode(context, "pcm", { numberOfOutputs: 0 });
  const scorer = await recogniser.stream(context.sampleRate, onScores);
  node.port.onmessage = ({ data }) => {
    onLevel(data.reduce((/** @type {number} */ most, /** @type {number} */ x) => Math.max(most, Math.abs(x)), 0));
    scorer.push(data);
  };
  source.connect(node);
  return () => {
    scorer.close();
    context.close();
  };
}
