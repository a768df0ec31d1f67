// The page: what was sent, what is shown, and how one becomes the other.

import { desk } from "./desk.js";
import { $, el } from "./dom.js";
import { chosen, dropped } from "./folders.js";
import { detailsOf, forget, hide, keep, keyOf, recall, unhide } from "./kept.js";
import { colourOf, families, nameOf, setLabels } from "./labels.js";
import { listen } from "./live.js";
import { Trouble } from "./recogniser.js";
import { reportOf } from "./report.js";
import { named } from "./result.js";
import { problemText } from "./warnings.js";
import { clock, listed, megabytes, percent, setLanguage, t, translate } from "./words.js";

const AT_ONCE = 2;
/** @type {import("./recogniser.js").Recogniser} */
let recogniser;
const limits = { mb: 200, minutes: 60 };
const items = []; // {name, file, state, sent, analysed, duration, result, trouble, sound, stop}
/** @type {import("./recogniser.js").Example[]} */
let examples = [];
/** @type {any} {stop}, while the microphone is on */
let recording = null;
/** @type {(() => void) | null} ends the time in which a removal can be undone */
let undone = null;
/** @type {ReturnType<typeof desk>} */
let table;
/** @type {import("./recogniser.js").About | null} */
let about = null;
let unusable = ""; // why nothing can be recognised

const say = (text) => { $("said").textContent = text; };

// Sending

function add(files) {
  const found = files.map(({ name, file }, i) => {
    const key = keyOf(name, file);
    const known = items.find((item) => item.key === key && item.result);
    known?.sound?.pause();
    if (known) Object.assign(known, { file, sound: null }); // analysed before: now with its sound
    return known ?? { name, file, key, added: Date.now() - i / 1e4, state: "waiting", sent: 0, analysed: 0, duration: null };
  });
  if (!found.length) return;
  items.unshift(...found.filter((item) => !items.includes(item)));
  table.choose(found[0]);
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
    item.kept = await keep(item);
    if (item.kept && item !== table.shown()) item.result.details = null; // read again when it is shown
    const names = named(table.resultOf(item)).map(nameOf);
    say(names.length ? t("saidDone", { name: item.name, names: listed(names) }) : t("saidNone", { name: item.name }));
  } catch (trouble) {
    item.state = "failed";
    item.trouble = trouble;
    if (trouble.kind === "unauthorised") askToken();
    say(t("saidFailed", { name: item.name, why: whyOf(trouble) }));
  }
  next();
  table.update(item);
}

async function predicted(item) {
  for (;;) {
    try {
      return await recogniser.predict(item.file, { onProgress: (event) => { Object.assign(item, { note: "" }, event); drawProgress(item); }, signal: item.stop.signal });
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
  Object.assign(item, { state: "waiting", sent: 0, analysed: 0, duration: null });
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
  if (!items.includes(table.shown())) table.choose(items[0] ?? null);
  const keys = gone.map((item) => item.key);
  hide(keys);
  undone?.();
  $("undo-text").textContent = t("removed", { n: gone.length });
  $("undo").hidden = false;
  $("undo-do").onclick = () => {
    items.splice(0, items.length, ...before, ...items.filter((item) => !before.includes(item)));
    unhide();
    clearTimeout(undoing);
    undone = null;
    $("undo").hidden = true;
    table.choose(gone[0]);
    draw();
  };
  const undoing = setTimeout(() => undone?.(), 12000);
  undone = () => { clearTimeout(undoing); forget(keys.filter((key) => !items.some((item) => item.key === key))); $("undo").hidden = true; undone = null; };
  draw();
}

const whyOf = (trouble) => (trouble.kind === "away" ? t("away") : trouble.kind === "stopped" ? "" : problemText(trouble.message || t("failed")));

// Showing

function draw() {
  $("work").hidden = !items.length;
  document.body.classList.toggle("has-work", items.length > 0 || recording !== null);
  table.draw();
}

async function detailsFor(item) {
  const details = await detailsOf(item.key);
  return details?.peaks ? details : null;
}

function addressOf(item) {
  if (item.file) item.address ??= URL.createObjectURL(item.file);
  return item.address ?? "";
}

function progress(item) {
  setTimeout(() => drawProgress(item)); // once it is there
  return el("article", { class: "card progress" }, el("p", { class: "facts" }, el("span", { class: "file-name" }, item.name)),
    el("h2", { class: "headline quiet" }, ""), el("progress", { max: 1, "aria-label": t("analysing") }),
    el("div", { class: "progress-foot" }, el("p", { class: "fine" }), el("button", { type: "button", class: "plain", onclick: () => remove([item]) }, t("stopIt"))));
}

function drawProgress(item) {
  const card = $("shown").querySelector(".progress");
  if (item !== table.shown() || !card) return;
  const uploading = item.state === "working" && item.sent < 1;
  const known = uploading || (item.duration && item.analysed);
  card.querySelector(".headline").textContent = item.state === "waiting" ? t("waiting") : t(uploading ? "uploading" : "analysing");
  const bar = card.querySelector("progress");
  if (known) bar.value = uploading ? item.sent : Math.min(1, item.analysed / item.duration);
  else bar.removeAttribute("value");
  const amount = uploading ? percent(item.sent) : !item.analysed ? "" : item.duration ? t("analysedOf", { done: clock(item.analysed), all: clock(item.duration) }) : t("analysed", { done: clock(item.analysed) });
  card.querySelector(".fine").textContent = item.note || amount;
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
  recording = true;
  try {
    recording = await listen(recogniser, t("recordingName", { n: 1 + items.filter((item) => item.recorded).length }));
  } catch (error) {
    recording = null;
    $("limits").textContent = t("noMic", { why: error.name === "NotAllowedError" ? t("noMicAllowed") : error.message });
    $("limits").classList.add("trouble");
    return;
  }
  $("record").disabled = true;
  draw();
  $("stop").focus();
}

async function stopRecording() {
  const file = await recording.stop();
  recording = null;
  $("record").disabled = false;
  add(chosen([file]));
  items[0].recorded = true;
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
  $("limits").textContent = unusable || t("limits", limits);
  $("limits").classList.toggle("trouble", unusable !== "");
  if (families().length) $("model").textContent = t("model", { model: document.documentElement.dataset.model });
  drawExamples(examples);
  draw();
}

async function begin() {
  unusable = "";
  try {
    about = await recogniser.labels();
    setLabels(about.labels);
    Object.assign(limits, about.limits);
    table.setPoints(about.points);
    if (!items.length) await restore(about.model);
    document.documentElement.dataset.model = about.model;
    examples = await recogniser.examples();
  } catch (trouble) {
    if (trouble.kind === "unauthorised") askToken();
    else say(unusable = whyOf(trouble));
  }
  redraw();
}

/** Bring back what was kept of this model's results. @param {string} model */
async function restore(model) {
  const found = await recall();
  const mine = found.filter((one) => one.result.model === model && !items.some((item) => item.key === one.key)); // chosen meanwhile
  forget(found.filter((one) => one.result.model !== model).map((one) => one.key));
  items.push(...mine.map((one) => ({ ...one, file: null, state: "done", kept: true, result: { ...one.result, details: null } })));
  if (items.length) table.choose(items[0]);
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

/** Start the page. @param {import("./recogniser.js").Recogniser} chosen what recognises */
export function start(chosen) {
  recogniser = chosen;
  if (chosen.local) for (const words of document.querySelectorAll("[data-t=kept]")) words.setAttribute("data-t", "keptLocal");
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-lang]"))) button.addEventListener("click", () => { setLanguage(button.dataset.lang); redraw(); });
  $("record").addEventListener("click", record);
  $("stop").addEventListener("click", stopRecording);
  table = desk({ items: () => items, whyOf, detailsOf: detailsFor, addressOf, waiting: progress, failed: failure, gone: () => new Trouble("gone", t("gone")), remove, report: (some) => reportOf(some, /** @type {any} */ (about)) });
  $("clear").addEventListener("click", () => remove([...items]));
  listenForFiles();
  translate();
  begin();
}
