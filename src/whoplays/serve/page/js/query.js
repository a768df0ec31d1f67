// Expressions over results, as `whoplays find` has them: "strings and not drums", "guitar alone >= 10", "maybe(brass)".
// The grammar is in results/query.py; both are held to the cases of tests/expressions.json.

import { everyLabel, parentOf } from "./labels.js";
import { alone, both, plays } from "./intervals.js";

/** @typedef {import("./recogniser.js").Prediction} Prediction */
/** @typedef {(result: Prediction) => boolean} Test */

const TOKEN = /\s*(?:(<=|>=|<|>|\(|\))|(["'])(.*?)\2(?:\.(share|seconds|longest)\b)?|([^\s<>()=!&|]+)|(\S))/giy;
const WORDS = ["and", "or", "not", "only", "(", ")", "<", "<=", ">", ">="]; // no labels, unless quoted
const ALSO_QUOTED = ["duration", "path", "maybe", "alone", "together"];
const MAX_LENGTH = 2000; // characters
const MAX_DEPTH = 40; // of parentheses and not
const SIGNS = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b };
const length = (/** @type {[number, number][]} */ spans) => spans.reduce((sum, [start, end]) => sum + end - start, 0);
const MEASURES = {
  seconds: (r, id) => length(plays(r, id)),
  share: (r, id) => Math.min(1, r.segments.filter((s) => s.label === id).reduce((sum, s) => sum + s.end - s.start, 0) / Math.max(r.duration, 1e-9)),
  longest: (r, id) => Math.max(0, ...plays(r, id).map(([start, end]) => end - start)),
};

/** A label as an expression names it. @param {string} id */
export const quoted = (id) => (/^[^\s<>()=!&|"'.]+$/.test(id) && ![...WORDS, ...ALSO_QUOTED].includes(id.toLowerCase()) ? id : `"${id}"`);

/** What a path has to look like: a pattern (*, ?, [...]), or a part of it; in any case. @param {string} text @returns {Test} */
function pathLike(text) {
  const pattern = /[*?[]/.test(text) ? text.toLowerCase() : `*${text.toLowerCase()}*`;
  const plain = (/** @type {string} */ part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  const source = pattern.replace(/\*+|\?|\[(!?)(\][^\]]*|[^\]!][^\]]*)\]|[^]/gu, (part, not, set) =>
    part[0] === "*" ? ".*" : part === "?" ? "." : set ? `[${not ? "^" : ""}${set.replace(/[\\\]^[]/g, "\\$&")}]` : plain(part));
  const shape = new RegExp(`^${source}$`, "su");
  return (r) => shape.test(r.path.toLowerCase());
}

/** Return the test that the text stands for. Throws an Error that names the place. @param {string} text @returns {Test} */
export function parse(text) {
  if (text.length > MAX_LENGTH) throw new Error(`${text.slice(0, 20)}…`);
  const tokens = [...text.matchAll(TOKEN)].map((m) => (m[2] ? { word: "", name: m[3], measure: m[4]?.toLowerCase() } : { word: m[0].trim().toLowerCase(), name: m[0].trim(), measure: undefined }));
  let at = 0;
  let depth = 0;
  const peek = () => tokens[at]?.word ?? "";
  const take = (...words) => words.includes(peek()) && at < tokens.length ? tokens[at++].word : "";
  /** @type {() => never} */
  const fail = () => { throw new Error(tokens[at]?.name ?? ""); };
  const ids = everyLabel().map((label) => label.id);
  /** The label of that name, in any capitals where these are not all that labels differ by. */
  const labelOf = (name) => {
    if (ids.includes(name)) return name;
    const alike = ids.filter((id) => id.toLowerCase() === name.toLowerCase());
    return alike.length === 1 ? alike[0] : null;
  };
  const isWord = (place) => !tokens[place] || WORDS.includes(tokens[place].word);
  const label = () => {
    const found = !isWord(at) && !tokens[at].measure && labelOf(tokens[at].name);
    if (!found) fail();
    at++;
    return found;
  };
  const bracket = (inside) => { const found = inside(); if (!take(")")) fail(); return found; };
  /** A sign and a number, or null. @type {(needed: boolean) => any} */
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
    if (++depth > MAX_DEPTH) fail();
    const found = inner();
    depth--;
    return found;
  }

  function inner() {
    if (take("not")) { const part = factor(); return (r) => !part(r); }
    if (take("(")) return bracket(either);
    if (take("only")) return only();
    if (peek() === "maybe" && tokens[at + 1]?.word === "(") { at += 2; const id = bracket(label); return (r) => r.maybe.includes(id); }
    if (take("path")) { if (isWord(at)) fail(); return pathLike(tokens[at++].name); }
    if (take("duration")) { const fits = comparison(true); return (r) => fits(r.duration); }
    return together() ?? measured() ?? labels();
  }

  function only() {
    const named = [];
    if (take("(")) bracket(() => { do named.push(label()); while (take("and")); });
    else named.push(label());
    const apart = new Set(named.flatMap((id) => [id, parentOf(id), ...everyLabel().filter((one) => one.parent === id).map((one) => one.id)]));
    return (r) => named.every((id) => r.playing.includes(id)) && r.playing.every((id) => apart.has(id));
  }

  /** "a and b together >= 20", or "a alone >= 10"; null where none of them begins here. */
  function together() {
    let last = at;
    while (tokens[last + 1]?.word === "and" && !isWord(last + 2)) last += 2;
    const word = tokens[last + 1]?.word ?? "";
    if (!["together", "alone"].includes(word) || (word === "together") !== last > at || isWord(at)) return null;
    const named = [label()];
    while (take("and")) named.push(label());
    at++;
    const fits = comparison(false) ?? ((seconds) => seconds > 0);
    return (r) => fits(length(word === "alone" ? alone(r, named[0]) : named.map((id) => plays(r, id)).reduce(both)));
  }

  function measured() {
    const token = tokens[at];
    if (!token) return fail();
    const suffix = token.measure ?? (ids.includes(token.name) ? undefined : /.\.(share|seconds|longest)$/.exec(token.word)?.[1]);
    if (!suffix) return null;
    const id = labelOf(token.measure ? token.name : token.name.slice(0, -suffix.length - 1));
    if (!id) return fail();
    at++;
    const fits = comparison(true);
    return (r) => fits(MEASURES[suffix](r, id));
  }

  function labels() {
    const id = label();
    const fits = comparison(false);
    return (r) => (fits ? fits(r.scores[id] ?? 0) : r.playing.includes(id));
  }

  const found = either();
  if (at < tokens.length) fail();
  return found;
}
