// The page: what was sent, what is shown, and how one becomes the other.

import { $, el } from "./dom.js";
import { chosen, dropped } from "./folders.js";
import { detailsOf, forget, keep, keyOf, recall } from "./kept.js";
import { colourOf, families, nameOf, setLabels } from "./labels.js";
import { startRecording } from "./recorder.js";
import { recordings } from "./recordings.js";
import { named, resultView } from "./result.js";
import { Trouble } from "./recogniser.js";
import { shownAt } from "./thresholds.js";
import { capital, clock, listed, megabytes, number, percent, setLanguage, t, translate } from "./words.js";

const AT_ONCE = 2;
/** @type {import("./recogniser.js").Recogniser} */
let recogniser;
const limits = { mb: 200, minutes: 60 };
const items = []; // {name, file, state, sent, heard, duration, result, trouble, sound, stop}
/** @type {any} one of them */
let shown = null;
/** @type {any} {stop, timer}, while the microphone is on */
let recording = null;
/** @type {import("./recogniser.js").Example[]} */
let examples = [];
/** @type {any} */
let view = null; // of the shown result: {player, picture}
let position = 0; // of the control of thresholds, -1 to 1
let undoing = 0;
/** @type {{draw: () => void, update: (item: any) => void}} */
let list;
let points = []; // what its positions cost

const say = (text) => { $("said").textContent = text; };

// Sending

function add(files) {
  const found = files.map(({ name, file }, i) => {
    const key = keyOf(name, file);
    const known = items.find((item) => item.key === key && item.result);
    if (known) Object.assign(known, { file, sound: null }); // analysed before: now with its sound
    return known ?? { name, file, key, added: Date.now() - i / 1e4, state: "waiting", sent: 0, heard: 0, duration: null };
  });
  if (!found.length) return;
  items.unshift(...found.filter((item) => !items.includes(item)));
  choose(found[0]);
  next();
  draw();
  $("work").scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

function next() {
  const busy = items.filter((item) => item.state === "working").length;
  for (const item of items.filter((one) => one.state === "waiting").slice(0, Math.max(0, AT_ONCE - busy))) work(item);
}

async function work(item) {
  item.state = "working";
  item.trouble = null;
  item.stop = new AbortController();
  try {
    if (item.file.size > limits.mb * 1048576) throw new Trouble("too-large", t("tooLarge", { size: megabytes(item.file.size), mb: limits.mb }));
    item.result = { ...(await predicted(item)), path: item.name };
    item.state = "done";
    if (await keep(item) && item !== shown) item.result.details = null; // read again when it is shown
    const names = named(shownAt(item.result, position)).map(nameOf);
    say(names.length ? t("saidDone", { name: item.name, names: listed(names) }) : t("saidNone", { name: item.name }));
  } catch (trouble) {
    item.state = "failed";
    item.trouble = trouble;
    if (trouble.kind === "unauthorised") askToken();
    say(t("saidFailed", { name: item.name, why: whyOf(trouble) }));
  }
  next();
  if (item === shown) drawShown();
  list.update(item);
}

async function predicted(item) {
  for (;;) {
    try {
      return await recogniser.predict(item.file, { onProgress: (told) => { Object.assign(item, { note: "" }, told); drawProgress(item); }, signal: item.stop.signal });
    } catch (trouble) {
      if (!["busy", "too-many"].includes(trouble.kind) || item.stop.signal.aborted) throw trouble;
      const seconds = Math.max(1, trouble.retryAfter ?? 5);
      item.note = t("busy", { seconds });
      drawProgress(item);
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    }
  }
}

function again(item) {
  Object.assign(item, { state: "waiting", sent: 0, heard: 0, duration: null });
  next();
  draw();
}

/** Take recordings off the page; for a while that can be undone. @param {any[]} gone */
function remove(gone) {
  const before = [...items];
  for (const item of gone) {
    if (item.state === "working" || item.state === "waiting") { item.stop?.abort(); item.state = "failed"; item.trouble = new Trouble("stopped"); }
    item.sound?.pause();
  }
  items.splice(0, items.length, ...items.filter((item) => !gone.includes(item)));
  if (!items.includes(shown)) choose(items[0] ?? null);
  forget(gone.map((item) => item.key));
  clearTimeout(undoing);
  $("undo-told").textContent = t("removed", { n: gone.length });
  $("undo").hidden = false;
  $("undo-do").onclick = () => {
    items.splice(0, items.length, ...before, ...items.filter((item) => !before.includes(item)));
    for (const item of gone) if (item.result?.details) keep(item);
    $("undo").hidden = true;
    choose(gone[0]);
    draw();
  };
  undoing = setTimeout(() => { $("undo").hidden = true; }, 12000);
  draw();
}

/** Show a recording, and read what its pictures need. */
function choose(item) {
  if (shown !== item) shown?.sound?.pause();
  shown = item;
}

const whyOf = (trouble) => (trouble.kind === "away" ? t("away") : trouble.kind === "stopped" ? "" : capital(trouble.message || t("failed")));

// Showing

function draw() {
  $("work").hidden = !items.length;
  document.body.classList.toggle("has-work", items.length > 0 || recording !== null);
  $("list").hidden = items.length < 2;
  if (items.length > 1) list.draw();
  drawShown();
}

function drawShown() {
  view = null;
  $("sure").hidden = !shown?.result;
  if (!shown) return $("shown").replaceChildren();
  if (shown.state === "done") {
    if (shown.result.details) return $("shown").replaceChildren(resultOf(shown));
    const item = shown;
    $("shown").replaceChildren();
    detailsOf(item.key).then((details) => {
      item.result.details = details?.peaks ? details : null;
      if (!item.result.details) Object.assign(item, { state: "failed", result: null, trouble: new Trouble("gone", t("gone")) });
      if (item === shown) drawShown();
    });
    return undefined;
  }
  if (shown.state === "failed") return $("shown").replaceChildren(failure(shown));
  $("shown").replaceChildren(progress(shown));
  drawProgress(shown);
}

function resultOf(item) {
  if (!item.sound) {
    item.sound = new Audio();
    if (item.file) item.sound.src = item.address = URL.createObjectURL(item.file);
    item.sound.preload = "metadata";
  }
  view = resultView(shownAt(item.result, position), item.name, item.sound, position);
  return view.element;
}

function progress(item) {
  return el("article", { class: "card progress" }, el("p", { class: "facts" }, el("span", { class: "file-name" }, item.name)),
    el("h2", { class: "headline quiet" }, ""), el("progress", { max: 1, "aria-label": t("analysing") }),
    el("div", { class: "progress-foot" }, el("p", { class: "fine" }), el("button", { type: "button", class: "plain", onclick: () => remove([item]) }, t("stopIt"))));
}

function drawProgress(item) {
  const card = $("shown").querySelector(".progress");
  if (item !== shown || !card) return;
  const uploading = item.state === "working" && item.sent < 1;
  const known = uploading || (item.duration && item.heard);
  card.querySelector(".headline").textContent = item.state === "waiting" ? t("waiting") : t(uploading ? "uploading" : "analysing");
  const bar = card.querySelector("progress");
  if (known) bar.value = uploading ? item.sent : Math.min(1, item.heard / item.duration);
  else bar.removeAttribute("value");
  const told = uploading ? percent(item.sent) : !item.heard ? "" : item.duration ? t("analysedOf", { done: clock(item.heard), all: clock(item.duration) }) : t("analysed", { done: clock(item.heard) });
  card.querySelector(".fine").textContent = item.note || told;
}

function failure(item) {
  const possible = !["too-large", "too-long", "not-a-recording"].includes(item.trouble.kind);
  return el("article", { class: "card failure" }, el("p", { class: "facts" }, el("span", { class: "file-name" }, item.name)),
    el("h2", { class: "headline" }, t("failed")), el("p", { class: "why" }, whyOf(item.trouble)),
    el("div", { class: "row" }, possible && el("button", { type: "button", class: "primary", onclick: () => again(item) }, t("retry")),
      el("button", { type: "button", class: "plain", onclick: () => $("file").click() }, t("choose"))));
}

function askToken() {
  const ask = $("ask");
  if (ask.open) return;
  ask.onclose = () => {
    if (ask.returnValue !== "yes" || !$("token").value) return;
    recogniser.authorise?.($("token").value.trim());
    $("token").value = "";
    begin();
    for (const item of items.filter((one) => one.trouble?.kind === "unauthorised")) again(item);
  };
  ask.showModal();
}

// The microphone

async function record() {
  if (recording) return;
  const name = t("recordingName", { n: 1 + items.filter((item) => item.recorded).length });
  try {
    recording = { stop: async () => null };
    recording.stop = await startRecording(recogniser, name, { onScores: (scores) => liveHeard({ scores }), onLevel: (level) => liveHeard({ level }) });
  } catch (error) {
    recording = null;
    $("limits").textContent = t("noMic", { why: error.name === "NotAllowedError" ? "permission" : error.message });
    $("limits").classList.add("trouble");
    return;
  }
  const begun = Date.now();
  recording.timer = setInterval(() => { $("live-time").textContent = clock((Date.now() - begun) / 1000); }, 250);
  $("live-time").textContent = clock(0);
  drawMeters();
  $("live").hidden = false;
  $("record").disabled = true;
  draw();
  $("stop").focus();
}

async function stopRecording() {
  const { stop, timer } = recording;
  clearInterval(timer);
  const file = await stop();
  recording = null;
  $("live").hidden = true;
  $("record").disabled = false;
  add(chosen([file]));
  items[0].recorded = true;
}

function drawMeters() {
  const rows = families().map((id) => el("div", { class: "meter", css: { "--tint": colourOf(id) } }, el("span", {}, capital(nameOf(id))),
    el("span", { class: "bar", "data-meter": id, css: { "--score": 0, "--tint": colourOf(id) }, "aria-hidden": "true" }), el("span", { class: "meter-number" }, "–")));
  $("meters").replaceChildren(...rows, el("div", { class: "meter level" }, el("span", {}, t("level")), el("span", { class: "bar", "data-meter": "level", css: { "--score": 0 } }), el("span", {})));
}

/** @param {{scores?: Record<string, number>, level?: number}} told */
function liveHeard({ scores, level }) {
  const set = (id, value) => $("meters").querySelector(`[data-meter="${CSS.escape(id)}"]`)?.style.setProperty("--score", value);
  if (level !== undefined) set("level", Math.min(1, Math.pow(level, 0.5)));
  for (const [id, score] of Object.entries(scores ?? {})) {
    set(id, score);
    const shownNumber = $("meters").querySelector(`[data-meter="${CSS.escape(id)}"]`)?.nextSibling;
    if (shownNumber) shownNumber.textContent = number(score);
  }
}

// Examples

function drawExamples(found) {
  $("examples").hidden = !found.length;
  $("example-list").replaceChildren(...found.map((example) => {
    const dots = [...new Set((example.playing ?? []).map(([label]) => label))].map((id) => el("span", { class: "swatch", css: { "--tint": colourOf(id) }, "aria-hidden": "true" }));
    return el("li", {}, el("button", { type: "button", class: "example", onclick: () => tryExample(example.name) }, ...dots, el("span", {}, t(example.name))));
  }));
}

async function tryExample(name) {
  try {
    add(chosen([new File([await recogniser.example(name)], name, { type: "audio/ogg" })]));
  } catch {
    add(chosen([new File([], name)]));
  }
}

// Beginning

function redraw() {
  translate();
  drawSure();
  $("limits").textContent = t("limits", limits);
  $("limits").classList.remove("trouble");
  if (families().length) $("model").textContent = t("model", { model: document.documentElement.dataset.model });
  drawExamples(examples);
  draw();
}

async function begin() {
  try {
    const told = await recogniser.labels();
    setLabels(told.labels);
    Object.assign(limits, told.limits);
    points = told.points;
    if (!items.length) await restore(told.model);
    document.documentElement.dataset.model = told.model;
    document.documentElement.dataset.version = told.version;
    examples = await recogniser.examples();
  } catch (trouble) {
    if (trouble.kind === "unauthorised") askToken();
    else say(whyOf(trouble));
  }
  redraw();
}

/** Bring back what was kept of this model's results. @param {string} model */
async function restore(model) {
  const found = await recall();
  const mine = found.filter((one) => one.result.model === model);
  forget(found.filter((one) => one.result.model !== model).map((one) => one.key));
  items.push(...mine.map((one) => ({ ...one, file: null, state: "done", result: { ...one.result, details: null } })));
  if (items.length) choose(items[0]);
}

function listenForFiles() {
  const drop = $("drop");
  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => { add(chosen($("file").files)); $("file").value = ""; });
  let depth = 0;
  const over = (on) => {
    drop.classList.toggle("over", on);
    drop.querySelector(".drop-words").textContent = t(on ? "dropNow" : "drop");
  };
  addEventListener("dragenter", (event) => { if (event.dataTransfer?.types.includes("Files")) { depth++; over(true); } });
  addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); if (!depth) over(false); });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => { event.preventDefault(); depth = 0; over(false); dropped(event.dataTransfer).then(add); });
}

const KEYS = {
  " ": () => view.player.toggle(), ArrowLeft: () => view.player.seek(shown.sound.currentTime - 5), ArrowRight: () => view.player.seek(shown.sound.currentTime + 5),
  "Shift+ArrowLeft": () => view.picture.pan(-0.25), "Shift+ArrowRight": () => view.picture.pan(0.25),
  "+": () => view.picture.zoom(2), "=": () => view.picture.zoom(2), "-": () => view.picture.zoom(0.5), 0: () => view.picture.fit(),
  n: () => step(1), p: () => step(-1), l: () => { const found = segmentNow(); if (found) view.player.repeat(found); },
};

const segmentsShown = () => shownAt(shown.result, position).segments;
const segmentNow = () => segmentsShown().find((s) => shown.sound.currentTime >= s.start - 0.05 && shown.sound.currentTime < s.end);

/** Go to the next segment (1) or the one before (-1). */
function step(way) {
  const starts = segmentsShown().map((s) => s.start).sort((a, b) => way * (a - b));
  const next = starts.find((at) => way * (at - shown.sound.currentTime) > (way > 0 ? 0.05 : 1));
  if (next !== undefined) view.player.seek(next);
}

/** Show the next recording (1) or the one before (-1). */
function turnTo(way) {
  const next = items[items.indexOf(shown) + way];
  if (!next) return;
  choose(next);
  draw();
}

function help() {
  const rows = [[t("space"), "keyPlay"], ["← →", "keySeek"], ["N P", "keySegment"], ["J K", "keyFile"], ["+ − 0", "keyZoom"], ["Shift ← →", "keyPan"], ["L", "keyLoop"], ["?", "keyHelp"]];
  $("key-list").replaceChildren(...rows.flatMap(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, t(what))]));
  $("help").showModal();
}

function listenForKeys() {
  addEventListener("keydown", (event) => {
    const target = /** @type {Element} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest?.("input, select, textarea, dialog")) return;
    if (event.key === "?") return help();
    if (event.key === "j" || event.key === "k") return turnTo(event.key === "j" ? 1 : -1);
    if (event.key === " " && target.closest?.("button, a, summary")) return;
    const act = KEYS[`${event.shiftKey && event.key.startsWith("Arrow") ? "Shift+" : ""}${event.key}`];
    if (!act || !view || !shown?.sound) return;
    event.preventDefault();
    act();
  });
  $("keys").addEventListener("click", help);
}

// How sure

function drawSure() {
  const near = points.find((point) => Math.abs(point.position - position) < 0.051);
  $("sure-cost").textContent = near ? t("sureCost", { precision: percent(near.precision), recall: percent(near.recall) }) : t(points.length ? "sureBetween" : "sureUnknown");
  const end = position < 0 ? t("sureFewer") : t("sureMore");
  $("sure-range").setAttribute("aria-valuetext", position ? `${end} ${percent(Math.abs(position))}` : "0");
}

function listenForSure() {
  $("sure-range").addEventListener("input", () => {
    position = Number($("sure-range").value);
    drawSure();
    draw();
  });
}

/** Start the page. @param {import("./recogniser.js").Recogniser} chosen what recognises */
export function start(chosen) {
  recogniser = chosen;
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-lang]"))) button.addEventListener("click", () => { setLanguage(button.dataset.lang); redraw(); });
  $("record").addEventListener("click", record);
  $("stop").addEventListener("click", stopRecording);
  list = recordings({ items: () => items, shown: () => shown, position: () => position, remove, whyOf, show: (item) => { choose(item); draw(); $("items").querySelector("[aria-current]")?.focus(); $("shown").scrollIntoView({ block: "nearest" }); } });
  $("clear").addEventListener("click", () => remove([...items]));
  listenForFiles();
  listenForKeys();
  listenForSure();
  translate();
  begin();
}
