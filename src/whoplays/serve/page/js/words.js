// What the page says, from the catalogue of messages that Python uses too; and how it writes times and shares.

const inside = document.getElementById("messages");

/** Group -> key -> language -> words; `whoplays serve` gives it, and a static copy of the page has it, as messages.json; a report has
 * it inside. @type {Record<string, Record<string, Record<string, string>>>} */
export const messages = inside ? JSON.parse(inside.textContent) : await (await fetch(new URL("../messages.json", import.meta.url))).json();

const stored = (() => { try { return localStorage.getItem("lang"); } catch { return null; } })();
let lang = stored === "en" || stored === "pl" ? stored : (navigator.language || "en").toLowerCase().startsWith("pl") ? "pl" : "en";

export const language = () => lang;

/** Speak another language. kept: whether to speak it again next time. */
export function setLanguage(chosen, kept = true) {
  lang = chosen;
  if (kept) try { localStorage.setItem("lang", chosen); } catch { /* private windows keep nothing */ }
}

export const filled = (template, values) => template.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

/** Return the words under `key`, with {places} filled in. */
export function t(key, values = {}) {
  return filled(messages.page[key]?.[lang] ?? key, values);
}

/** Write the words into every element that asks for them. */
export function translate(root = document) {
  document.documentElement.lang = lang;
  /** @type {(selector: string) => NodeListOf<HTMLElement>} */
  const all = (selector) => root.querySelectorAll(selector);
  for (const e of all("[data-t]")) e.textContent = t(e.dataset.t);
  for (const e of all("[data-t-label]")) e.setAttribute("aria-label", t(e.dataset.tLabel));
  for (const b of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-lang]"))) b.setAttribute("aria-pressed", String(b.dataset.lang === lang));
}

/** 75.4 -> "1:15". */
export function clock(seconds) {
  const s = Math.floor(seconds + 0.5);
  const two = (n) => String(n).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

export const number = (value, digits = 2) => value.toLocaleString(lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });
export const percent = (value) => value.toLocaleString(lang, { style: "percent", maximumFractionDigits: 0 });
export const megabytes = (bytes) => `${(bytes / 1048576).toLocaleString(lang, { maximumFractionDigits: 1 })} MB`;
export const capital = (text) => text.charAt(0).toLocaleUpperCase(lang) + text.slice(1);

/** ["a", "b", "c"] -> "a, b and c". */
export const listed = (names, joint = "and") =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${t(joint)} ${names.at(-1)}`;

/** The middle of a long name gives way: its folder and its end say most. */
export function shortened(name, most = 64) {
  if (name.length <= most) return name;
  const end = Math.ceil((most - 1) * 0.6);
  return `${name.slice(0, most - 1 - end)}…${name.slice(-end)}`;
}
