// The spectrogram below the waveform, where a result has one, and over it what a score hangs on: which parts of the sound,
// made quiet, take it down.

import { el, svg } from "./dom.js";
import { nameOf } from "./labels.js";
import { capital, number, t } from "./words.js";

const HEAT = "#00d5ff"; // seen on every colour of the spectrogram

/** One label's patches, over the time that they cover. why: {label, start, end, loss}: rows from the lowest band. */
function overlay(why, start, end) {
  const most = Math.max(1e-9, ...why.loss.flat());
  const [bands, spans] = [why.loss.length, why.loss[0].length];
  const patches = why.loss.flatMap((row, band) => row.map((loss, span) => loss > 0 &&
    svg("rect", { x: span, y: bands - 1 - band, width: 1, height: 1, fill: HEAT, "fill-opacity": (0.8 * loss / most).toFixed(2) })));
  return svg("svg", {
    class: "patches", viewBox: `0 0 ${spans} ${bands}`, preserveAspectRatio: "none", "aria-hidden": "true",
    css: { left: `${(100 * (why.start - start)) / (end - start)}%`, width: `${(100 * (why.end - why.start)) / (end - start)}%` },
  }, ...patches, svg("rect", { class: "why-frame", width: spans, height: bands }));
}

/** Return the parts of the timeline's grid; none without a spectrogram. details: {start, end, mel, why}. */
export function spectrogram({ start, end, mel, why = [] }) {
  if (!mel) return [];
  const track = el("div", { class: "track" }, el("img", { src: mel, alt: t("mel") }));
  const parts = [el("div", { class: "lane-name" }, t("pitch")), el("div", { class: "pitch" }, track)];
  if (!why.length) return parts;
  const legendText = el("span", { class: "fine" });
  const show = () => {
    const one = why[Number(select.value)];
    track.querySelector(".patches")?.remove();
    legend.hidden = !one;
    if (!one) return;
    track.append(overlay(one, start, end));
    legendText.textContent = t("whyTold", { most: number(Math.max(0, ...one.loss.flat()), 1) });
  };
  const select = el("select", { onchange: show }, ...why.map((one, i) => el("option", { value: i }, capital(nameOf(one.label)))), el("option", { value: -1 }, t("whyNone")));
  const legend = el("span", { class: "why-legend" }, el("span", { class: "why-scale", css: { "--heat": HEAT }, "aria-hidden": "true" }), legendText);
  parts.push(el("div", { class: "lane-name", "aria-hidden": "true" }), el("div", { class: "why-row" }, el("label", {}, t("why"), " ", select), legend));
  show();
  return parts;
}
