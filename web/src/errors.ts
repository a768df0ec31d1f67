// What goes wrong, for programs and for people. The words are in the catalogue that Python and the page use as well.

import { browser } from "../../src/whoplays/taxonomy/messages.json";

export type Language = "en" | "pl";
export type Code = "model" | "not-a-recording" | "too-long" | "stopped" | "usage";
export type Values = Record<string, string | number>;

/** An error that one line explains to a user. `code` and `reason` are for programs: a kind, and the message's key. */
export class WhoplaysError extends Error {
  constructor(readonly code: Code, readonly reason: string, readonly values: Values = {}) {
    super(filled(browser[reason], values, "en"));
    this.name = "WhoplaysError";
  }

  /** Return the line in a language. */
  text(language: Language): string {
    return filled(browser[this.reason], this.values, language);
  }
}

/** Return a message of the catalogue with its values. */
export const filled = (message: Record<Language, string>, values: Values, language: Language): string =>
  message[language].replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
