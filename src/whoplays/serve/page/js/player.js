// The player: play, seek, repeat a segment, or play only where a label plays, plays alone, or plays with another.

import { el, svg } from "./dom.js";
import { alone, plays, together } from "./intervals.js";
import { isInstrument, nameOf } from "./labels.js";
import { clock, t } from "./words.js";

/** Return {element, seek, repeat, toggle}. picture: {setTime}, called at each moment. note: about the sound. */
export function player(result, sound, picture, note = "") {
  const { start, end } = result.details;
  /** @type {import("./intervals.js").Intervals | null} */
  let only = null; // intervals to play, or all
  let around = false; // whether to begin again at their end
  const icon = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: "M8 5v14l11-7z" }));
  const toggle = () => (sound.paused ? sound.play().catch(() => {}) : sound.pause());
  const button = el("button", { type: "button", class: "play", "aria-label": t("play"), onclick: toggle }, icon);
  const now = el("span", { class: "now" }, clock(0));
  const range = el("input", { type: "range", min: start, max: end, step: 0.1, value: start, "aria-label": t("position"), "aria-valuetext": clock(start) });
  const seek = (seconds, play = false) => {
    sound.currentTime = Math.min(end, Math.max(start, seconds));
    picture.setTime(sound.currentTime);
    if (play) sound.play().catch(() => {});
  };
  range.addEventListener("input", () => seek(Number(range.value)));
  const show = () => {
    picture.setTime(sound.currentTime);
    now.textContent = clock(sound.currentTime);
    range.value = sound.currentTime;
    range.setAttribute("aria-valuetext", `${clock(sound.currentTime)} / ${clock(end)}`);
  };
  const keepInside = () => {
    if (!only?.length || sound.paused || sound.seeking || only.some(([s, e]) => sound.currentTime >= s - 0.05 && sound.currentTime < e)) return;
    const next = only.find(([s]) => s > sound.currentTime) ?? (around ? only[0] : null);
    if (next) sound.currentTime = next[0];
    else sound.pause();
  };
  const follow = () => { show(); keepInside(); if (!sound.paused && row.isConnected) requestAnimationFrame(follow); };
  const turn = () => {
    button.setAttribute("aria-label", t(sound.paused ? "play" : "pause"));
    icon.firstChild.setAttribute("d", sound.paused ? "M8 5v14l11-7z" : "M7 5h4v14H7zM13 5h4v14h-4z");
    follow();
  };
  sound.onplay = sound.onpause = sound.onended = turn;
  sound.onseeked = sound.ontimeupdate = () => { show(); keepInside(); };
  const families = result.playing.filter((id) => !isInstrument(id));
  const choices = [["all", null], ...result.playing.map((id) => [t("onlyWhere", { name: nameOf(id) }), () => plays(result, id)]),
    ...result.playing.map((id) => [t("onlyAlone", { name: nameOf(id) }), () => alone(result, id)]),
    ...families.flatMap((a, i) => families.slice(i + 1).map((b) => [t("onlyTogether", { a: nameOf(a), b: nameOf(b) }), () => together(result, a, b)]))];
  choices[0][0] = t("everything");
  const select = el("select", { "aria-label": t("playOnly"), onchange: () => choose(choices[select.value][1]?.() ?? null, false) }, ...choices.map(([name], i) => el("option", { value: i }, name)));
  const stop = el("button", { type: "button", class: "plain small-button", hidden: true, onclick: () => { select.value = 0; choose(null, false); } }, t("playAll"));
  const status = el("span", { class: "fine", role: "status" });
  /** @param {import("./intervals.js").Intervals | null} intervals to play, or everything @param {boolean} again */
  function choose(intervals, again) {
    [only, around] = [intervals?.length ? intervals : null, again];
    stop.hidden = !intervals;
    status.textContent = intervals && !only ? t("nowhere") : only && again ? t("repeating", { from: clock(only[0][0]), to: clock(only[0][1]) }) : "";
    if (only && (again || !only.some(([s, e]) => sound.currentTime >= s && sound.currentTime < e))) seek((only.find(([s]) => !again && s > sound.currentTime) ?? only[0])[0], again);
  }
  const row = el("div", { class: "player" }, el("div", { class: "player-left" }, button, el("p", { class: end >= 3600 ? "clock long" : "clock", "aria-hidden": "true" }, now, " / ", clock(end))), range);
  const extra = result.playing.length > 0 && el("div", { class: "row player-only" }, el("label", {}, el("span", {}, t("playOnly"), " "), select), stop, status);
  sound.onerror = () => { row.replaceChildren(el("p", { class: "note" }, sound.hasAttribute("src") ? t("noPlay") : note || t("noSound"))); if (extra) extra.hidden = true; };
  if (sound.error || !sound.hasAttribute("src")) sound.onerror();
  return { element: el("div", { class: "transport" }, row, note && sound.hasAttribute("src") ? el("p", { class: "fine" }, note) : null, extra || null), seek, toggle, repeat: (segment) => choose([[segment.start, segment.end]], true) };
}
