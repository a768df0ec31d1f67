// One recording's result: headline, player, timeline, scores, pie, moments, warnings, downloads.

import { el, save, svg } from "./dom.js";
import { audacity, csv, jsonOf } from "./exports.js";
import { colourOf, everyLabel, families, isInstrument, mostPrecise, nameOf, outline, parentOf } from "./labels.js";
import { player } from "./player.js";
import { segmentList } from "./segments.js";
import { thresholdsAt } from "./thresholds.js";
import { timeline } from "./timeline.js";
import { warningText } from "./warnings.js";
import { capital, clock, language, listed, number, percent, shortened, t } from "./words.js";

/** Return the labels that play, the surest first. */
export const playing = (result) => [...result.playing].sort((a, b) => result.scores[b] - result.scores[a]);

/** Return what plays, the surest first: in place of a family those of its instruments that play for half of its time or more. */
export function named(result) {
  const shares = sharesOf(result);
  return mostPrecise(playing(result).filter((id) => !isInstrument(id) || shares[id] >= (shares[parentOf(id) ?? ""] ?? 0) / 2));
}

export function headline(result) {
  if (result.playing.length) return capital(listed(named(result).map(nameOf)));
  return isSilent(result) ? t("silence") : t("none", { n: families().length });
}

const isSilent = (result) => result.warnings.some(({ code }) => code === "silent");

/** Return the share of the time in which each label plays. */
export function sharesOf(result) {
  const shares = Object.fromEntries(Object.keys(result.scores).map((id) => [id, 0]));
  for (const s of result.segments) shares[s.label] += (s.end - s.start) / result.duration;
  return shares;
}

/** Return, for each label that plays, the time at which its score over time is highest. */
export function moments(result) {
  const { frame_scores, start, end } = result.details;
  return playing(result).filter((id) => frame_scores[id]?.length).map((id) => {
    const best = frame_scores[id].indexOf(Math.max(...frame_scores[id]));
    const stretch = result.segments.find((s) => s.label === id);
    const at = start + (best * (end - start)) / frame_scores[id].length;
    return { id, at: frame_scores[id].length > 1 ? at : stretch?.start ?? start, score: frame_scores[id][best] / 255 };
  });
}

function words(result) {
  const ordered = named(result);
  const pieces = ordered.flatMap((id, i) => {
    const name = i ? nameOf(id) : capital(nameOf(id));
    const joint = i === 0 ? "" : i === ordered.length - 1 ? ` ${t("and")} ` : ", ";
    return [joint, el("span", { class: "named", css: { "--tint": colourOf(id) } }, name)];
  });
  return el("h2", { class: "headline", tabindex: "-1" }, ...(pieces.length ? pieces : [headline(result)]));
}

/** Return a line with what may play, apart from what plays; nothing where there is none. */
function doubtful(result) {
  const names = mostPrecise([...result.maybe].sort((a, b) => result.scores[b] - result.scores[a])).map(nameOf);
  return names.length > 0 && el("p", { class: "note maybe" }, t("maybeLead", { names: listed(names) }));
}

function facts(result, name) {
  const rate = (result.sample_rate / 1000).toLocaleString(language(), { maximumFractionDigits: 2 });
  return el("p", { class: "facts" }, el("span", { class: "file-name", title: name }, shortened(name, 100)), " · ", t("facts", { duration: clock(result.duration), rate }));
}

function likeliest(result) {
  const best = families().sort((a, b) => result.scores[b] - result.scores[a])[0];
  return el("p", { class: "note" }, t("noneLead", { name: nameOf(best), score: number(result.scores[best]) }));
}

function scoresTable(result, position) {
  const marks = Object.fromEntries(everyLabel().map((label) => [label.id, thresholdsAt(label, position).plays]));
  const rows = outline([...result.playing, ...result.maybe]).map((id) => {
    const share = sharesOf(result)[id] ?? 0;
    const bar = el("span", { class: "bar", "aria-hidden": "true", css: { "--score": result.scores[id], "--mark": marks[id], "--tint": colourOf(id) } });
    return el("tr", { class: result.playing.includes(id) ? "plays" : result.maybe.includes(id) ? "unsure" : "" },
      el("th", { scope: "row", class: isInstrument(id) ? "instrument" : "" }, capital(nameOf(id))), el("td", { class: "bar-cell" }, bar), el("td", {}, number(result.scores[id])),
      el("td", {}, share ? percent(share) : el("span", { class: "soft" }, t(result.maybe.includes(id) ? "maybe" : "shareNone"))));
  });
  const all = [...new Set(Object.values(marks).map((mark) => number(mark)))];
  const note = el("p", { class: "fine" }, t("scoreNote", { mark: all.sort().length > 1 ? `${all[0]}–${all.at(-1)}` : all[0] }));
  return el("section", { class: "scores" }, el("h3", {}, t("scores")),
    el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("label")), el("td", {}), el("th", { scope: "col" }, t("score")), el("th", { scope: "col" }, t("share")))), el("tbody", {}, ...rows)), note);
}

const familyTime = (shares) => families().reduce((sum, id) => sum + (shares[id] ?? 0), 0);

/** Return a ring whose parts are the families' shares of all playing time. */
export function pie(result) {
  const shares = sharesOf(result);
  const whole = familyTime(shares);
  const ring = svg("svg", { viewBox: "0 0 120 120", role: "img", "aria-label": `${t("pie")}: ${families().filter((id) => shares[id]).map((id) => `${nameOf(id)} ${percent(shares[id] / whole)}`).join(", ") || t("shareNone")}` });
  const around = 2 * Math.PI * 46;
  ring.append(svg("circle", { cx: 60, cy: 60, r: 46, class: "ring" }));
  let turned = 0;
  for (const id of families().filter((one) => shares[one] > 0)) {
    const length = (shares[id] / whole) * around;
    const gap = length > 8 && whole > shares[id] ? 3 : 0;
    ring.append(svg("circle", { cx: 60, cy: 60, r: 46, class: "part", css: { "--tint": colourOf(id) }, "stroke-dasharray": `${length - gap} ${around}`, "stroke-dashoffset": -turned, transform: "rotate(-90 60 60)" }));
    turned += length;
  }
  ring.append(svg("text", { x: 60, y: 60, class: "pie-number" }, t("pieOf", { n: result.playing.filter((id) => !isInstrument(id)).length, all: families().length })), svg("text", { x: 60, y: 77, class: "pie-words" }, t("pieWords")));
  return ring;
}

function pieSection(result) {
  const shares = sharesOf(result);
  const whole = familyTime(shares);
  const legend = families().filter((id) => shares[id] > 0).map((id) => el("li", { css: { "--tint": colourOf(id) } }, el("span", { class: "swatch", "aria-hidden": "true" }), el("span", {}, capital(nameOf(id))), el("b", {}, percent(shares[id] / whole))));
  return el("section", { class: "pie" }, el("h3", {}, t("pie")), el("div", { class: "pie-body" }, pie(result), el("ul", { class: "legend" }, ...legend)));
}

function momentsSection(result, seek) {
  const found = moments(result);
  if (!found.length) return null;
  const buttons = found.map(({ id, at }) => el("li", {}, el("button", { type: "button", class: "moment", css: { "--tint": colourOf(id) }, onclick: () => seek(at, true) },
    el("span", { class: "moment-time" }, clock(at)), " ", el("span", {}, capital(nameOf(id)), el("span", { class: "hidden" }, t("fromThere"))))));
  return el("section", { class: "moments" }, el("h3", {}, t("moments")), el("p", { class: "fine" }, t("momentsNote")), el("ul", {}, ...buttons));
}

function warnings(result) {
  if (!result.warnings?.length) return null;
  const items = result.warnings.map((w) => el("li", {}, warningText(w)));
  return el("section", { class: "warnings" }, el("h3", {}, t("warnings")), el("ul", {}, ...items));
}

function downloads(result, item, report) {
  const { name } = item;
  const stem = name.replace(/\.[^.]*$/, "") || "recording";
  const kinds = [
    ["json", () => save(new Blob([jsonOf(result)], { type: "application/json" }), `${stem}.json`)],
    ["csv", () => save(new Blob([csv([result])], { type: "text/csv" }), `${stem}.csv`)],
    ["audacity", () => save(new Blob([audacity(result)], { type: "text/plain" }), `${stem}.txt`)],
    ...(report ? [["report", async () => save(new Blob([await report([item])], { type: "text/html" }), `${stem}.html`)]] : []),
  ];
  const buttons = kinds.map(([kind, act]) => el("li", {}, el("button", { type: "button", class: "plain", "data-download": kind, onclick: act }, t(kind))));
  return el("section", { class: "downloads" }, el("h3", {}, t("downloads")), el("ul", {}, ...buttons));
}

/** Return a quiet line with all families that were looked for and not found. */
function notFound(result) {
  const shown = outline([...result.playing, ...result.maybe]);
  const rest = families().filter((id) => !shown.includes(id)).map(nameOf);
  return rest.length > 0 && el("p", { class: "fine not-found" }, t("notFound", { names: listed(rest, "or") }));
}

/**
 * Return {element, player, picture} of a result.
 * @param {any} result @param {any} item @param {{position?: number, report?: (items: any[]) => Promise<string>}} how
 *   item: {name, sound, note}: its audio element, and a word about its sound.
 * position: of the control of thresholds. report(items): a promise of a report; missing inside one.
 */
export function resultView(result, item, { position = 0, report } = {}) {
  const picture = timeline(result, (seconds) => transport.seek(seconds));
  const transport = player(result, item.sound, picture, item.note);
  const element = el("article", { class: "card result" },
    facts(result, item.name), words(result), doubtful(result), !result.playing.length && !isSilent(result) && likeliest(result), warnings(result),
    transport.element, picture.element, notFound(result), result.segments.length > 0 && segmentList(result, transport),
    el("div", { class: "columns" }, scoresTable(result, position), el("div", { class: "side" }, result.playing.length > 0 && pieSection(result), momentsSection(result, transport.seek))),
    downloads(result, item, report));
  return { element, player: transport, picture };
}
