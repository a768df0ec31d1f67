// What many recordings have together: which labels play in how many of them and for how long, and who plays with whom.

import { $, el } from "./dom.js";
import { colourOf, isInstrument, nameOf, outline, related } from "./labels.js";
import { quoted } from "./query.js";
import { sharesOf } from "./result.js";
import { capital, clock, number, t } from "./words.js";

const [LARGE, NUMBERED] = [8, 14]; // labels up to which cells are large, and up to which they have numbers

/** Return for each label that plays anywhere: in how many recordings, and for how many seconds. */
function countsOf(results) {
  const counts = new Map();
  for (const result of results) {
    const shares = sharesOf(result);
    for (const id of result.playing) {
      const [n, seconds] = counts.get(id) ?? [0, 0];
      counts.set(id, [n + 1, seconds + shares[id] * result.duration]);
    }
  }
  return counts;
}

/** Return (a, b) -> in how many recordings both play. */
function pairsOf(results) {
  const pairs = new Map();
  const key = (a, b) => (a < b ? `${a}\n${b}` : `${b}\n${a}`);
  for (const { playing } of results) playing.forEach((a, i) => { for (const b of playing.slice(i + 1)) pairs.set(key(a, b), (pairs.get(key(a, b)) ?? 0) + 1); });
  return (a, b) => pairs.get(key(a, b)) ?? 0;
}

const heading = (id) => el("th", { scope: "row", class: isInstrument(id) ? "instrument" : "" },
  el("span", { class: "swatch", css: { "--tint": colourOf(id) }, "aria-hidden": "true" }), " ", capital(nameOf(id)));

function countsTable(ids, counts, all) {
  const rows = ids.map((id) => {
    const [n, seconds] = counts.get(id) ?? [0, 0];
    return el("tr", {}, heading(id), el("td", { class: "bar-cell" }, el("span", { class: "bar", "aria-hidden": "true", css: { "--score": n / all, "--tint": colourOf(id) } })),
      el("td", {}, number(n, 0)), el("td", {}, clock(seconds)));
  });
  return el("table", { class: "counts" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("label")), el("td", { class: "bar-cell" }),
    el("th", { scope: "col" }, t("recordings")), el("th", { scope: "col" }, t("playingTime")))), el("tbody", {}, ...rows));
}

/** The half below the diagonal: each cell as dark as its pair is frequent. A click filters the recordings by the pair. */
function togetherTable(ids, pairs, filter) {
  const most = Math.max(1, ...ids.flatMap((a, i) => ids.slice(0, i).filter((b) => !related(a, b)).map((b) => pairs(a, b))));
  const cell = (a, b) => {
    if (related(a, b)) return el("td", { class: "own" });
    const n = pairs(a, b);
    const words = t("pairOf", { a: nameOf(b), b: nameOf(a), n: number(n, 0) });
    const shade = { "--share": n ? 0.12 + 0.88 * (n / most) : 0 };
    return el("td", { css: shade }, n > 0 && el("button", { type: "button", tabindex: "-1", title: words, "aria-label": words, onclick: () => filter(`${quoted(b)} and ${quoted(a)}`) }, ids.length <= NUMBERED ? number(n, 0) : ""));
  };
  const rows = ids.slice(1).map((a, i) => el("tr", {}, heading(a), ...ids.slice(0, i + 1).map((b) => cell(a, b))));
  const heads = ids.slice(0, -1).map((id) => el("th", { scope: "col" }, el("span", {}, capital(nameOf(id)))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("together") },
    el("table", { class: `pairs${ids.length > LARGE ? " small" : ""}` }, el("tbody", {}, ...rows), el("tfoot", {}, el("tr", {}, el("td"), ...heads))));
}

/** Fill the folding part of the page. page: {results(), filter(expression)}. Returns {draw}. */
export function collection(page) {
  const box = $("collection");
  const fill = () => {
    const results = page.results();
    const counts = countsOf(results);
    const ids = outline([...counts.keys()]);
    const found = ids.length > 0 && countsTable(ids, counts, results.length);
    const pairs = ids.length > 1 && el("section", {}, el("h2", {}, t("together")), el("p", { class: "fine" }, t("togetherTold")), togetherTable(ids, pairsOf(results), page.filter));
    $("collection-body").replaceChildren(...[found && el("section", {}, el("h2", {}, t("colPlays")), found), pairs].filter(Boolean));
    $("collection-body").classList.toggle("wide", ids.length > NUMBERED);
  };
  const draw = () => { if (!box.hidden && box.open) fill(); };
  box.addEventListener("toggle", draw);
  return { draw };
}
