// Names and colours of what the model hears. The colours are those of the package's figures (Okabe and Ito 2008).

import { language } from "./words.js";

const COLOURS = { brass: "#E69F00", drums: "#D55E00", guitar: "#009E73", piano: "#0072B2", strings: "#CC79A7" };
const MORE = ["#56B4E9", "#F0E442", "#999999"];

let labels = [];

export function setLabels(found) { labels = found; }
export const families = () => labels;
export const ids = () => labels.map((label) => label.id);

export function nameOf(id) {
  const label = labels.find((one) => one.id === id);
  return label ? label[language()] ?? label.en : id;
}

export function colourOf(id) {
  if (COLOURS[id]) return COLOURS[id];
  const others = ids().filter((one) => !COLOURS[one]);
  return MORE[Math.max(0, others.indexOf(id)) % MORE.length];
}
