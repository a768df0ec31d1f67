// The model's labels: their names and colours, and which family an instrument belongs to.

import { language } from "./words.js";

const UNKNOWN = "#999999";

let labels = [];

const labelOf = (id) => labels.find((label) => label.id === id);

export function setLabels(found) { labels = found; }
export const everyLabel = () => labels;
export const families = () => labels.filter((label) => !label.parent).map((label) => label.id);
export const isInstrument = (id) => Boolean(labelOf(id)?.parent);
export const colourOf = (id) => labelOf(id)?.colour ?? UNKNOWN;

export function nameOf(id) {
  const label = labelOf(id);
  return label ? label[language()] ?? label.en : id;
}

export const parentOf = (id) => labelOf(id)?.parent ?? null;

/** A family's name, or an instrument's behind its family's: strings: violin. @param {string} id */
export const fullName = (id) => (parentOf(id) ? `${nameOf(parentOf(id))}: ${nameOf(id)}` : nameOf(id));

/** Whether one of two labels is the family of the other. */
export const related = (a, b) => parentOf(a) === b || parentOf(b) === a;

/** Return the families among the ids, or of instruments among them, each followed by those instruments. */
export function outline(ids) {
  return families().flatMap((family) => {
    const below = labels.filter((label) => label.parent === family && ids.includes(label.id)).map((label) => label.id);
    return ids.includes(family) || below.length ? [family, ...below] : [];
  });
}

/** Return the ids without the families of which an instrument is among them. */
export const mostPrecise = (ids) => ids.filter((id) => !ids.some((one) => labelOf(one)?.parent === id));
