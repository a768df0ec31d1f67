// Stretches of time as sorted pairs of seconds: where a label plays, plays alone, or plays together with another.

import { related } from "./labels.js";

/** @typedef {[number, number][]} Intervals */

/** @param {import("./recogniser.js").Segment[]} segments @param {(label: string) => boolean} which @returns {Intervals} */
export function union(segments, which) {
  const merged = [];
  for (const s of segments.filter((one) => which(one.label)).sort((a, b) => a.start - b.start)) {
    if (merged.length && s.start <= merged.at(-1)[1]) merged.at(-1)[1] = Math.max(merged.at(-1)[1], s.end);
    else merged.push([s.start, s.end]);
  }
  return merged;
}

/** @param {Intervals} a @param {Intervals} b @returns {Intervals} */
export const both = (a, b) => a.flatMap(([start, end]) => b.map(([s, e]) => /** @type {[number, number]} */ ([Math.max(start, s), Math.min(end, e)]))).filter(([s, e]) => e > s);

/** @param {Intervals} a @param {Intervals} b @returns {Intervals} */
export function without(a, b) {
  return a.flatMap(([start, end]) => {
    const left = [];
    let at = start;
    for (const [s, e] of b) {
      if (e <= at || s >= end) continue;
      if (s > at) left.push([at, s]);
      at = Math.max(at, e);
    }
    if (at < end) left.push([at, end]);
    return left;
  });
}

export const plays = (result, id) => union(result.segments, (label) => label === id);
export const alone = (result, id) => without(plays(result, id), union(result.segments, (label) => label !== id && !related(label, id)));
export const together = (result, a, b) => both(plays(result, a), plays(result, b));
