// The waveform, a lane for each family and each instrument that plays under it, a time axis; click anywhere to go there.

import { el, svg } from "./dom.js";
import { colourOf, isInstrument, nameOf, outline } from "./labels.js";
import { capital, clock, number, t } from "./words.js";

const WIDTH = 1200;

/** Mirrored bars for peaks, as one path in a box WIDTH wide and 100 high. Levels are shown on a gentle curve. */
export function wavePath(peaks) {
  const most = Math.max(1e-6, ...peaks);
  const bars = Math.min(peaks.length, 220);
  const step = WIDTH / bars;
  let path = "";
  for (let i = 0; i < bars; i++) {
    const part = peaks.slice(Math.floor((i * peaks.length) / bars), Math.max(Math.floor(((i + 1) * peaks.length) / bars), 1 + Math.floor((i * peaks.length) / bars)));
    const half = Math.max(0.8, 48 * Math.pow(Math.max(...part) / most, 0.7));
    path += `M${((i + 0.5) * step).toFixed(1)} ${(50 - half).toFixed(1)}V${(50 + half).toFixed(1)}`;
  }
  return { path, stroke: step * 0.58 };
}

function curvePath(curve) {
  const step = WIDTH / curve.length;
  const points = Array.from(curve, (score, i) => `L${(i * step).toFixed(1)} ${(100 - score / 2.55).toFixed(1)}H${((i + 1) * step).toFixed(1)}`);
  return `M0 100${points.join("")}V100Z`;
}

/** Seconds between two marks of an axis that shows `length` seconds in about `count` parts. */
export function spacing(length, count) {
  return [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200].find((s) => length / s <= count) ?? 14400;
}

function axis(start, end) {
  const ticks = el("div", { class: "axis", "aria-hidden": "true" });
  const every = spacing(end - start, 7);
  for (let at = Math.ceil(start / every) * every; at <= end - every * 0.35 || at === start; at += every) {
    const share = (at - start) / (end - start);
    ticks.append(el("span", { css: { left: `${100 * share}%` } }, every < 1 ? number(at, 1) : clock(at)));
  }
  return ticks;
}

function lane(id, result, details, seek) {
  const { start, end } = details;
  const share = (seconds) => `${(100 * (seconds - start)) / (end - start)}%`;
  const mine = result.segments.filter((segment) => segment.label === id);
  const stretches = mine.map((segment) => {
    const words = t("stretch", { name: nameOf(id), from: clock(segment.start), to: clock(segment.end), score: number(segment.score) });
    const width = `${(100 * (segment.end - segment.start)) / (end - start)}%`;
    return el("li", { css: { left: share(segment.start), width } },
      el("button", { type: "button", class: "stretch", title: words, "aria-label": words, onclick: (event) => { event.stopPropagation(); seek(segment.start); } }));
  });
  const curve = details.curve[id] ?? [];
  return [
    el("div", { class: `lane-name${mine.length ? "" : " silent"}${isInstrument(id) ? " instrument" : ""}`, css: { "--tint": colourOf(id) } }, el("span", { class: "swatch", "aria-hidden": "true" }), capital(nameOf(id))),
    el("div", { class: "lane", css: { "--tint": colourOf(id) } },
      svg("svg", { viewBox: `0 0 ${WIDTH} 100`, preserveAspectRatio: "none", "aria-hidden": "true" }, curve.length > 1 && svg("path", { d: curvePath(curve) })),
      mine.length > 0 && el("ul", {}, ...stretches)),
  ];
}

/** Return {element, setTime}: the whole picture. seek(seconds) is called when someone points at a time. */
export function timeline(result, seek) {
  const details = result.details;
  const { start, end } = details;
  const { path, stroke } = wavePath(details.peaks.length ? details.peaks : [0]);
  const waves = ["wave-rest", "wave-played"].map((name) =>
    svg("svg", { class: name, viewBox: `0 0 ${WIDTH} 100`, preserveAspectRatio: "none", "aria-hidden": "true" }, svg("path", { d: path, "stroke-width": stroke })));
  const head = el("div", { class: "playhead", "aria-hidden": "true" });
  const wave = el("div", { class: "wave" }, ...waves);
  const element = el("div", { class: "timeline", role: "group", "aria-label": t("timeline") },
    el("div", { class: "lane-name", "aria-hidden": "true" }), wave,
    ...outline(result.playing).flatMap((id) => lane(id, result, details, seek)),
    el("div", { "aria-hidden": "true", class: "lane-name" }), axis(start, end),
    el("div", { class: "over", "aria-hidden": "true" }, head));
  const point = (event) => {
    const box = wave.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    if (share >= 0 && share <= 1) seek(start + share * (end - start));
  };
  for (const target of [wave, ...element.querySelectorAll(".lane")]) target.addEventListener("click", point);
  const setTime = (seconds) => {
    const share = Math.min(1, Math.max(0, (seconds - start) / (end - start)));
    element.style.setProperty("--at", share);
  };
  setTime(start);
  return { element, setTime };
}
