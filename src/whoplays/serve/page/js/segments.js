// The list of segments: sortable, a click plays, one can be repeated, all can be copied as text.

import { el } from "./dom.js";
import { colourOf, nameOf } from "./labels.js";
import { capital, clock, number, t } from "./words.js";

/** @type {[string, (segment: import("./recogniser.js").Segment) => any][]} */
const COLUMNS = [["from", (s) => s.start], ["to", (s) => s.end], ["label", (s) => nameOf(s.label)], ["score", (s) => s.score]];

export const asText = (segments) => segments.map((s) => `${clock(s.start)}–${clock(s.end)}\t${nameOf(s.label)}\t${number(s.score)}\n`).join("");

/** Return the folded list; its rows are made when it is opened. player: {seek(seconds, play), repeat(segment)}. */
export function segmentList(result, player) {
  let [by, down] = [0, false];
  const body = el("tbody");
  const heads = COLUMNS.map(([key], i) => el("th", { scope: "col" }, el("button", { type: "button", onclick: () => { down = by === i && !down; by = i; fill(); } }, t(key))));
  const ordered = () => [...result.segments].sort((a, b) => {
    const [x, y] = [COLUMNS[by][1](a), COLUMNS[by][1](b)];
    return (down ? -1 : 1) * (typeof x === "string" ? x.localeCompare(y) : x - y);
  });
  const row = (s) => el("tr", { css: { "--tint": colourOf(s.label) } },
    el("td", {}, el("button", { type: "button", class: "time", "aria-label": t("stretch", { name: nameOf(s.label), from: clock(s.start), to: clock(s.end), score: number(s.score) }), onclick: () => player.seek(s.start, true) }, clock(s.start))),
    el("td", {}, clock(s.end)), el("td", {}, el("span", { class: "swatch", "aria-hidden": "true" }), " ", capital(nameOf(s.label))), el("td", {}, number(s.score)),
    el("td", {}, el("button", { type: "button", class: "time", "aria-label": t("repeatOf", { from: clock(s.start), to: clock(s.end) }), onclick: () => player.repeat(s) }, "↻")));
  function fill() {
    heads.forEach((head, i) => (i === by ? head.setAttribute("aria-sort", down ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
    body.replaceChildren(...ordered().map(row));
  }
  const copied = el("span", { role: "status", class: "fine" });
  const copy = async () => {
    try { await navigator.clipboard.writeText(asText(ordered())); copied.textContent = t("copied"); } catch { copied.textContent = t("notCopied"); }
  };
  const box = el("details", { class: "segments" }, el("summary", {}, t("segments", { n: result.segments.length })),
    el("div", { class: "row" }, el("button", { type: "button", class: "plain small-button", onclick: copy }, t("copy")), copied),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("segments", { n: result.segments.length }) },
      el("table", {}, el("thead", {}, el("tr", {}, ...heads, el("td"))), body)));
  box.addEventListener("toggle", () => { if (box.open && !body.childElementCount) fill(); });
  return box;
}
