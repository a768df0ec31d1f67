// Quality warnings, which results carry in English, in the language of the page. As taxonomy/messages.py translates them.

import { capital, filled, language, messages } from "./words.js";

/** Return one sentence for a warning of a result ({code, message, advice}, or plain words). */
export function warningText(warning) {
  if (typeof warning === "string") return warning;
  return `${capital(translated(warning.message, "warning"))}: ${translated(warning.advice, "warning")}.`;
}

/** Return why a recording cannot be used, in the page's language. @param {string} text */
export const problemText = (text) => capital(translated(text, "error"));

/** Return an English message of a group in the page's language, with the values it has; as it is where no message fits. */
function translated(text, group) {
  if (language() === "en") return text;
  for (const { pattern, message } of patterns(group)) {
    const found = text.match(pattern);
    if (found) return filled(message[language()], Object.fromEntries(Object.entries(found.groups ?? {}).map(([name, value]) => [name, within(name, value)])));
  }
  return text;
}

/** Names of the values that hold a message of the group "reason". */
const REASONS = ["why", "cause", "how", "first", "second", "what"];

/** Return a value of a message in the page's language: gaps and reasons are messages themselves. */
function within(name, value) {
  if (name === "spans" || name === "span") return value.split(", ").map((part) => translated(part, "gap")).join(", ");
  return REASONS.includes(name) ? translated(value, "reason") : value;
}

/** Return each message of a group with its English template as a pattern, those with most words of their own first. */
function patterns(group) {
  const own = (message) => message.en.replace(/\{\w+\}/g, "").length;
  return Object.values(messages[group]).sort((a, b) => own(b) - own(a)).map((message) => ({
    message, pattern: new RegExp(`^${message.en.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{(\w+)\}/g, "(?<$1>.+?)")}$`),
  }));
}
