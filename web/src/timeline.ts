// Scores over time -> when each label plays, equal to src/whoplays/inference/segmentation.py.

import type { TimelineSettings } from "./config.js";

/** Seconds from the start of the recording, and the mean score within. */
export interface Stretch {
  start: number;
  end: number;
  score: number;
}

/** Return the stretches in which one label plays. scores[i] holds from edges[i] to edges[i + 1], seconds. */
export function stretches(scores: Float32Array, edges: Float64Array, threshold: number, settings: TimelineSettings): Stretch[] {
  const merged: [number, number][] = [];
  for (const [a, b] of hysteresis(scores, threshold, threshold * settings.low)) {
    const last = merged.at(-1);
    if (last && edges[a] - edges[last[1]] <= settings.max_gap_s) last[1] = b;
    else merged.push([a, b]);
  }
  const shortest = Math.min(settings.min_length_s, (edges[edges.length - 1] - edges[0]) / 2);
  return merged.filter(([a, b]) => edges[b] - edges[a] >= shortest).map(([a, b]) => {
    let [sum, whole] = [0, 0];
    for (let i = a; i < b; i++) {
      sum += scores[i] * (edges[i + 1] - edges[i]);
      whole += edges[i + 1] - edges[i];
    }
    return { start: edges[a], end: edges[b], score: sum / whole };
  });
}

/** Return runs [a, b) of scores that stay at or above `low` and reach `high` somewhere. */
function hysteresis(scores: Float32Array, high: number, low: number): [number, number][] {
  const runs: [number, number][] = [];
  let start = -1;
  let reached = false;
  for (let i = 0; i <= scores.length; i++) {
    const above = i < scores.length && scores[i] >= low;
    if (above && start < 0) [start, reached] = [i, false];
    if (above) reached ||= scores[i] >= high;
    if (!above && start >= 0) {
      if (reached) runs.push([start, i]);
      start = -1;
    }
  }
  return runs;
}

/** Return when a label plays that is known to play: where no moment reaches its threshold, the likeliest ones. */
export function playingTimes(scores: Float32Array, edges: Float64Array, threshold: number, settings: TimelineSettings): Stretch[] {
  const highest = scores.reduce((most, score) => Math.max(most, score), 0);
  const reached = Math.min(settings.threshold ?? threshold, 0.8 * highest);
  const found = stretches(scores, edges, reached, settings);
  return found.length ? found : stretches(scores, edges, reached, { ...settings, low: 1, min_length_s: 0 });
}
