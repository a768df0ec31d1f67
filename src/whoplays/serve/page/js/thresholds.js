// The one control between fewer mistakes and missing nothing: what plays and what may play at each of its positions.
// A step of 1 takes every label, in log odds, from its own threshold to the lower one of "maybe".

import { everyLabel } from "./labels.js";

/** @typedef {import("./recogniser.js").Prediction} Prediction */

const logOdds = (/** @type {number} */ p) => { const inside = Math.min(0.9999, Math.max(0.0001, p)); return Math.log(inside / (1 - inside)); };
const probability = (/** @type {number} */ x) => 1 / (1 + Math.exp(-x));

/** Thresholds of a label at a position from -1 to 1. @param {import("./recogniser.js").Label} label @param {number} position */
export function thresholdsAt(label, position) {
  if (!position) return { plays: label.threshold, maybe: label.maybe };
  const step = label.maybe < label.threshold ? logOdds(label.threshold) - logOdds(label.maybe) : 1;
  const at = (/** @type {number} */ places) => probability(logOdds(label.threshold) - places * step);
  return { plays: at(position), maybe: at(position + 1) };
}

/** @type {{position: number, labels: any[], limits: {label: import("./recogniser.js").Label, plays: number, maybe: number}[]}} */
let known = { position: NaN, labels: [], limits: [] };

/** Each label with its thresholds at a position: worked out once for all recordings. @param {number} position */
function limitsAt(position) {
  const labels = everyLabel();
  if (known.position !== position || known.labels !== labels) known = { position, labels, limits: labels.map((label) => ({ label, ...thresholdsAt(label, position) })) };
  return known.limits;
}

/** The result as it is at a position; at 0 it is the recogniser's own. @param {Prediction} result @param {number} position @returns {Prediction} */
export function shownAt(result, position) {
  if (!position) return result;
  const reached = (/** @type {"plays" | "maybe"} */ kind) => {
    const ids = new Set();
    for (const { label, [kind]: limit } of limitsAt(position)) {
      if (!(result.scores[label.id] >= limit)) continue;
      ids.add(label.id);
      if (label.parent) ids.add(label.parent);
    }
    return everyLabel().map((label) => label.id).filter((id) => ids.has(id));
  };
  const playing = reached("plays");
  const maybe = reached("maybe").filter((id) => !playing.includes(id));
  const every = result.details?.segments ?? result.segments;
  return { ...result, playing, maybe, segments: every.filter((s) => playing.includes(s.label)) };
}
