// Scores over time -> the scores of a recording, equal to src/whoplays/model/pooling.py.

import type { Calibration, Label, ModelConfig } from "./config.js";

const SOFT = 1e-3;
const LEAST_LOG_WEIGHT = -600; // beside the greatest of its column: smaller ones would be 0 and leave nothing to divide by

/** Numbers over time: (steps, outputs), row after row; lengths: seconds of each step. attention: log weights. */
export interface Outputs {
  logits: Float32Array;
  attention: Float32Array | null;
  lengths: Float64Array;
  outputs: number;
}

const sigmoid = (x: number) => 0.5 * (1 + Math.tanh(0.5 * x));
const logOdds = (p: number) => Math.log((p + SOFT) / (1 - p + SOFT));

/** Python's round: half goes to the even neighbour. */
export function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

function median(values: Float64Array): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Return logits (steps, outputs) averaged over `spanS` seconds round each step, weighted by attention. */
export function attended({ logits, attention, lengths, outputs }: Outputs, spanS: number): Float64Array {
  const steps = lengths.length;
  const found = Float64Array.from(logits);
  const half = roundHalfEven(spanS / 2 / median(lengths));
  if (half === 0 || steps === 1) return found;
  const weights = new Float64Array(steps);
  for (let column = 0; column < outputs; column++) {
    let highest = -Infinity;
    for (let i = 0; i < steps; i++) {
      weights[i] = Math.log(lengths[i]) + (attention ? attention[i * outputs + column] : 0);
      highest = Math.max(highest, weights[i]);
    }
    for (let i = 0; i < steps; i++) weights[i] = Math.exp(Math.max(LEAST_LOG_WEIGHT, weights[i] - highest));
    for (let step = 0; step < steps; step++) {
      const [from, to] = [Math.max(0, step - half), Math.min(steps - 1, step + half)];
      let [sum, whole] = [0, 0];
      for (let i = from; i <= to; i++) {
        sum += weights[i] * logits[i * outputs + column];
        whole += weights[i];
      }
      found[step * outputs + column] = sum / whole;
    }
  }
  return found;
}

/** Return probabilities for rows of logits (steps, outputs), in place. */
function activated(logits: Float64Array, outputs: number, activation: ModelConfig["activation"]): Float64Array {
  if (activation === "sigmoid") return logits.map(sigmoid);
  for (let row = 0; row < logits.length; row += outputs) {
    const part = logits.subarray(row, row + outputs);
    const highest = Math.max(...part);
    let sum = 0;
    for (let i = 0; i < outputs; i++) sum += part[i] = Math.exp(part[i] - highest);
    for (let i = 0; i < outputs; i++) part[i] /= sum;
  }
  return logits;
}

/** Return the mean of the highest scores of one column, over the given share of time. */
export function topShareMean(scores: Float64Array, lengths: Float64Array, share: number): number {
  if (share === 0) return scores.reduce((most, score) => Math.max(most, score), -Infinity);
  const order = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
  let left = share * lengths.reduce((sum, length) => sum + length, 0);
  let [sum, whole] = [0, 0];
  for (const step of order) {
    const used = Math.min(Math.max(left, 0), lengths[step]);
    sum += scores[step] * used;
    whole += used;
    left -= lengths[step];
  }
  return sum / whole;
}

/** Raise the score of each family to that of its best instrument, in rows of scores (..., labels), in place. */
export function raiseFamilies<T extends Float32Array | Float64Array>(scores: T, labels: Label[]): T {
  const parents = labels.map((label) => labels.findIndex((one) => one.id === label.parent));
  for (let row = 0; row < scores.length; row += labels.length) {
    parents.forEach((parent, i) => {
      if (parent >= 0) scores[row + parent] = Math.max(scores[row + parent], scores[row + i]);
    });
  }
  return scores;
}

/** Return a recording's scores (labels,) from what the network gives over time. */
export function recordingScores(found: Outputs, { pooling, activation, labels }: ModelConfig): Float64Array {
  const { lengths, outputs } = found;
  const smooth = pooling.span_s ? attended(found, pooling.span_s) : Float64Array.from(found.logits);
  const scores = activated(smooth, outputs, activation);
  const pooled = Float64Array.from({ length: outputs }, (_, column) =>
    topShareMean(Float64Array.from(lengths, (_length, step) => scores[step * outputs + column]), lengths, pooling.share));
  const { correction = [] } = pooling;
  const plain = !correction.length && pooling.scale.every((v) => v === 1) && pooling.bias.every((v) => v === 0);
  if (plain) return raiseFamilies(pooled.slice(0, labels.length), labels);
  const odds = pooled.map(logOdds);
  const decided = Float64Array.from(labels, (_, i) => {
    const corrected = correction.length ? correction[i].reduce((sum, weight, j) => sum + weight * odds[j], 0) : 0;
    return sigmoid(pooling.scale[i] * odds[i] + pooling.bias[i] + corrected);
  });
  return raiseFamilies(decided, labels);
}

function calibrated(logits: Float64Array, outputs: number, labels: number, { scale, bias }: Calibration): Float64Array {
  const steps = logits.length / outputs;
  const found = new Float64Array(steps * labels);
  for (let step = 0; step < steps; step++) {
    for (let i = 0; i < labels; i++) found[step * labels + i] = logits[step * outputs + i] * scale[i] + bias[i];
  }
  return found;
}

/** Return scores over time (steps, labels), averaged as the model's timeline says. */
export function frameScores(found: Outputs, config: ModelConfig): Float32Array {
  const { timeline, labels, activation, frame_calibration } = config;
  const logits = timeline.span_s ? attended(found, timeline.span_s) : Float64Array.from(found.logits);
  const z = calibrated(logits, found.outputs, labels.length, frame_calibration);
  return raiseFamilies(Float32Array.from(activated(z, labels.length, activation)), labels);
}
