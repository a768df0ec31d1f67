// The recogniser that is in this browser: the npm package `whoplays`, in runtime/ beside the page. See recogniser.js.

import { Trouble, examplesFrom } from "./recogniser.js";
import { loading } from "./runtime.js";
import { language, t } from "./words.js";

/** @typedef {import("./recogniser.js").Recogniser} Recogniser */

const LIMITS = { mb: 2048, minutes: 720 };

/** @param {any} error */
const wordsOf = (error) => error.text?.(language()) ?? String(error.message ?? error);

async function ready() {
  try {
    return await loading;
  } catch (error) {
    throw new Trouble("model", t("noModel", { why: wordsOf(error) }));
  }
}

/** @type {Recogniser["labels"]} */
async function labels() {
  const { version, recogniser } = await ready();
  return { model: recogniser.model, version, labels: recogniser.labels, points: recogniser.config.training?.operating_points ?? [], limits: LIMITS };
}

/** @type {Recogniser["predict"]} */
async function predict(file, { onProgress, signal }) {
  const { recogniser } = await ready();
  onProgress({ sent: 1 });
  try {
    const found = await recogniser.predict(file, { details: true, maxDuration: 60 * LIMITS.minutes, signal, onProgress });
    const { frame_scores: _scores, frame_times: _times, schema: _schema, ...result } = found;
    return result;
  } catch (error) {
    throw new Trouble(error.code ?? "failed", wordsOf(error));
  }
}

/** @type {Recogniser["stream"]} */
async function stream(sampleRate, onScores) {
  const { recogniser } = await ready();
  let live = recogniser.stream(sampleRate, onScores, () => { live = null; });
  return {
    push: (samples) => live?.push(samples),
    close: () => { live?.close(); live = null; },
  };
}

/** @param {string} path */
async function get(path) {
  const answer = await fetch(path).catch(() => null);
  if (!answer?.ok) throw new Trouble("missing");
  return answer;
}

/** @type {Recogniser} */
export const local = {
  local: true,
  labels,
  predict,
  stream,
  ...examplesFrom(get),
};
