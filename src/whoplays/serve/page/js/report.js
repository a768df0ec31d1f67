// The report: one file with results, pictures and this page's own components, which opens offline. `whoplays predict --report`
// writes the same from the same template (results/html).

import { detailsOf } from "./kept.js";
import { packed } from "./packed.js";
import { largest } from "./view.js";
import { language, t } from "./words.js";

const COLUMNS = 2400; // of waveform and scores
const MOST_SOUND = 4 << 20; // bytes of a recording that is put inside

const reduced = (values, columns = COLUMNS) => packed(values.length > columns ? largest(values, 0, 1, columns) : values);

/** The sound as a URL that holds it; "" where there is none, or too much. @param {File | null} file @returns {Promise<string>} */
const soundOf = (file) => new Promise((resolve) => {
  if (!file || file.size > MOST_SOUND) return resolve("");
  const reader = new FileReader();
  reader.onload = () => resolve(String(reader.result));
  reader.onerror = () => resolve("");
  return reader.readAsDataURL(file);
});

async function entry({ name, key, file, result: { details: held, ...result } }) {
  const details = held ?? await detailsOf(key);
  const wanted = [...result.playing, ...result.maybe];
  const frame_scores = Object.fromEntries(wanted.map((id) => [id, reduced(details.frame_scores[id])]));
  const { start, end, peaks, segments } = details;
  return { result, name, sound: await soundOf(file), note: null, details: { start, end, peaks: reduced(peaks), frame_scores, segments } };
}

/** Return the HTML of a report. items: with results. about: {model, version, labels, points} of the recogniser. */
export async function reportOf(items, { model, version, labels, points }) {
  const template = await (await fetch(new URL("../report.html", import.meta.url))).text();
  const recordings = [];
  for (const item of items) recordings.push(await entry(item));
  const title = recordings.length === 1 ? recordings[0].name : t("reportTitle", { n: recordings.length });
  const escaped = title.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const facts = { lang: language(), model, version, labels, points, recordings };
  // No "<" of a name may end the element that the facts are in.
  const inside = { title: escaped, lang: language(), list: "", facts: JSON.stringify(facts).replaceAll("<", "\\u003c") };
  return template.replace(/\{(title|lang|list|facts)\}/g, (_, name) => inside[name]);
}
