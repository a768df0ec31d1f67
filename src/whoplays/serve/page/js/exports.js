// Results as files that other programs read: the same bytes as the command's (a test compares them).

import { everyLabel, fullName } from "./labels.js";

/** @typedef {import("./recogniser.js").Prediction} Prediction */
/** @typedef {{path: string, error: string}} Failure */

const BEFORE = ["path", "duration", "sample_rate", "model", "playing", "maybe"];
const AFTER = ["error", "warnings"];
const RESERVED = new Set([...BEFORE, ...AFTER, "segments", "seen"]);

/** A result without what only pictures need. @param {Prediction} result */
export function plain(result) {
  const { details, ...rest } = result;
  return rest;
}

/** @param {(Prediction | Failure)[]} results */
export const json = (results) => `${JSON.stringify(results.map((one) => ("error" in one ? one : plain(one))), null, 2)}\n`;

/** @param {Prediction} result */
export const jsonOf = (result) => `${JSON.stringify(plain(result), null, 2)}\n`;

/** A number as Python writes it: 3 seconds are 3.0, small ones 5e-05. @param {number} value */
function real(value) {
  if (Number.isInteger(value)) return value.toFixed(1);
  return value < 1e-4 ? value.toExponential().replace(/e-(\d)$/, "e-0$1") : String(value);
}

/** @param {string | number} value */
function cell(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A table: one row a recording. @param {(Prediction | Failure)[]} results */
export function csv(results) {
  const ids = everyLabel().map((label) => label.id);
  const head = [...BEFORE, ...ids.map((id) => (RESERVED.has(id) ? `score=${id}` : id)), ...AFTER];
  const rows = results.map((one) => "error" in one
    ? [one.path, "", "", "", "", "", ...ids.map(() => ""), one.error, ""]
    : [one.path, real(one.duration), one.sample_rate, one.model, one.playing.join(";"), one.maybe.join(";"),
      ...ids.map((id) => real(one.scores[id])), "", one.warnings.map((warning) => warning.code).join(";")]);
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

/** Audacity's label track. @param {Prediction} result */
export const audacity = (result) =>
  result.segments.map((s) => `${s.start.toFixed(6)}\t${s.end.toFixed(6)}\t${fullName(s.label)} ${s.score.toFixed(2)}\n`).join("");

/** A playlist. @param {Prediction[]} results */
export function m3u(results) {
  const line = (/** @type {string} */ text) => text.replace(/[\p{Cc}\u2028\u2029]/gu, " ").trim();
  const entry = (/** @type {string} */ name) => (name.startsWith("#") ? `./${line(name)}` : line(name));
  return `#EXTM3U\n${results.map((one) => `#EXTINF:${Math.round(one.duration)},${line(one.path.replace(/^.*\/|\.[^./]*$/g, ""))}\n${entry(one.path)}\n`).join("")}`;
}
