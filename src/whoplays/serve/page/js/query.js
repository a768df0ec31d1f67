// Expressions over results, as `whoplays find` has them: "strings and not drums", "guitar alone >= 10", "maybe(brass)".
// The grammar is in results/query.py; a test compares the answers.

import { everyLabel, parentOf } from "./labels.js";
import { alone, both, plays } from "./intervals.js";

/** @typedef {import("./recogniser.js").Prediction} Prediction */
/** @typedef {(result: Prediction) => boolean} Test */

const TOKEN = /\s*(?:(<=|>=|<|>|\(|\))|(["'])(.*?)\2(?:\.(share|seconds|longest)\b)?|([^\s<>()=!&|]+)|(\S))/giy;
const SIGNS = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b };
const length = (/** @type {[number, number][]} */ spans) => spans.reduce((sum, [start, end]) => sum + end - start, 0);
const MEASURES = {
  seconds: (r, id) => length(plays(r, id)),
  share: (r, id) => Math.min(1, length(plays(r, id)) / Math.max(r.duration, 1e-9)),
  longest: (r, id) => Math.max(0, ...plays(r, id).map(([start, end]) => end - start)),
};

/** Return the test that the text stands for. Throws an Error that names the place. @param {string} text @returns {Test} */
export function parse(text) {
  const tokens = [...text.matchAll(TOKEN)].map((m) => (m[2] ? { word: "", name: m[3], measure: m[4]?.toLowerCase() } : { word: m[0].trim().toLowerCase(), name: m[0].trim(), measure: undefined }));
  let at = 0;
  const peek = () => tokens[at]?.word ?? "";
  const take = (...words) => words.includes(peek()) && at < tokens.length ? tokens[at++].word : "";
  const fail = () => { throw new Error(tokens[at]?.name ?? ""); };
  const labelOf = (name) => {
    const ids = everyLabel().map((label) => label.id);
    return ids.includes(name) ? name : ids.find((id) => id.toLowerCase() === name.toLowerCase());
  };
  const label = () => {
    const found = at < tokens.length && !tokens[at].measure && labelOf(tokens[at].name);
    if (!found) fail();
    at++;
    return found;
  };
  const bracket = (inside) => { const found = inside(); if (!take(")")) fail(); return found; };
  /** A sign and a number, or null. */
  const comparison = (needed) => {
    const sign = take("<", "<=", ">", ">=");
    if (!sign) return needed ? fail() : null;
    if (!/^\d+(\.\d+)?$/.test(peek())) fail();
    const limit = Number(tokens[at++].word);
    return (/** @type {number} */ value) => SIGNS[sign](value, limit);
  };
  const either = () => { const parts = [all()]; while (take("or")) parts.push(all()); return (r) => parts.some((part) => part(r)); };
  const all = () => { const parts = [factor()]; while (take("and")) parts.push(factor()); return (r) => parts.every((part) => part(r)); };

  function factor() {
    if (take("not")) { const part = factor(); return (r) => !part(r); }
    if (take("(")) return bracket(either);
    if (take("only")) return only();
    const next = tokens[at + 1]?.word;
    if (peek() === "maybe" && next === "(") { at += 2; const id = bracket(label); return (r) => r.maybe.includes(id); }
    if (peek() === "duration" && next in SIGNS) { at++; const fits = comparison(true); return (r) => fits(r.duration); }
    if (peek() === "path" && at + 1 < tokens.length && !(next in SIGNS)) return path();
    return measured() ?? labels();
  }

  function only() {
    const ids = [];
    if (take("(")) bracket(() => { do ids.push(label()); while (take("and")); });
    else ids.push(label());
    const apart = new Set(ids.flatMap((id) => [id, parentOf(id), ...everyLabel().filter((one) => one.parent === id).map((one) => one.id)]));
    return (r) => ids.every((id) => r.playing.includes(id)) && r.playing.every((id) => apart.has(id));
  }

  function path() {
    const pattern = tokens[++at].name;
    at++;
    const shape = new RegExp(`^${pattern.replace(/[.+^${}()|\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".")}$`, "is");
    return (r) => shape.test(r.path) || shape.test(r.path.replace(/^.*\//, ""));
  }

  function measured() {
    const token = tokens[at];
    if (!token) return fail();
    const suffix = token.measure ?? (labelOf(token.name) ? undefined : /\.(share|seconds|longest)$/.exec(token.word)?.[1]);
    if (!suffix) return null;
    const id = labelOf(token.measure ? token.name : token.name.slice(0, -suffix.length - 1));
    if (!id) return fail();
    at++;
    const fits = comparison(true);
    return (r) => fits(MEASURES[suffix](r, id));
  }

  function labels() {
    const first = label();
    // "a and b together" is one condition; without "together" the labels after "and" are read again.
    const begun = at;
    const ids = [first];
    while (peek() === "and" && tokens[at + 1] && labelOf(tokens[at + 1].name) && !tokens[at + 1].measure) { ids.push(labelOf(tokens[at + 1].name)); at += 2; }
    if (ids.length > 1 && take("together")) {
      const fits = comparison(false) ?? ((seconds) => seconds > 0);
      return (r) => fits(length(ids.map((id) => plays(r, id)).reduce(both)));
    }
    at = begun;
    if (take("alone")) { const fits = comparison(false) ?? ((seconds) => seconds > 0); return (r) => fits(length(alone(r, first))); }
    const fits = comparison(false);
    return (r) => (fits ? fits(r.scores[first] ?? 0) : r.playing.includes(first));
  }

  const found = either();
  if (at < tokens.length) fail();
  return found;
}
