// The report: results that lie in the file itself, shown as the page shows its own.

import { desk } from "./desk.js";
import { $, el } from "./dom.js";
import { setLabels } from "./labels.js";
import { unpackedDetails } from "./packed.js";
import { Trouble } from "./recogniser.js";
import { problemText } from "./warnings.js";
import { clock, filled, language, messages, setLanguage, t, translate } from "./words.js";

const facts = JSON.parse($("facts").textContent);

/** A word about the sound, in the page's language. @param {[string, Record<string, string>] | null} note key and values */
const noteOf = (note) => (note ? filled(messages.report[note[0]][language()], note[1]) : "");

/** The folder that recordings given by their whole paths share: the table leaves it out. @param {string[]} names */
function sharedFolder(names) {
  const above = (/** @type {string} */ path) => path.slice(0, path.lastIndexOf("/", path.length - 2) + 1);
  let folder = names.length > 1 ? above(names[0]) : "/";
  while (!names.every((name) => name.startsWith(folder))) folder = above(folder);
  return folder;
}

const shared = sharedFolder(facts.recordings.map(({ name }) => name).filter((/** @type {string} */ name) => name.startsWith("/")));
const short = (/** @type {string} */ name) => (shared !== "/" && name.startsWith(shared) ? name.slice(shared.length) : name);
const items = facts.recordings.map(({ result, error, name, sound, note, details: packed }) => (error
  ? { name, short: short(name), state: "failed", trouble: new Trouble("failed", error) }
  : { name, short: short(name), state: "done", kept: true, result: { ...result, details: null }, address: sound, get note() { return noteOf(note); }, packed }));

const whyOf = (trouble) => problemText(trouble.message || t("failed"));

const failed = (item) => el("article", { class: "card failure" }, el("p", { class: "facts" }, el("span", { class: "file-name" }, item.name)),
  el("h2", { class: "headline" }, t("failed")), el("p", { class: "why" }, whyOf(item.trouble)));

const table = desk({ items: () => items, whyOf, failed, waiting: failed, gone: () => new Trouble("gone"), addressOf: (item) => item.address, detailsOf: async (item) => unpackedDetails(item.packed) });

function draw() {
  translate();
  const analysed = items.filter((item) => item.result);
  const length = clock(analysed.reduce((sum, item) => sum + item.result.duration, 0));
  if (items.length > 1) {
    document.title = $("title").textContent = t("reportTitle", { n: items.length });
    const failures = items.length - analysed.length;
    $("lead").textContent = [t("reportLead", { length }), failures && t("reportFailed", { n: failures })].filter(Boolean).join(" ");
  }
  $("model").textContent = t("reportMade", { version: facts.version, model: facts.model });
  table.draw();
}

$("work").hidden = false;
$("collection").open = true;
setLabels(facts.labels);
table.setPoints(facts.points);
setLanguage(facts.lang, false);
for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-lang]"))) button.addEventListener("click", () => { setLanguage(button.dataset.lang, false); draw(); });
if (items.length === 1) table.choose(items[0]);
const linked = () => { const item = items[Number(/^#r(\d+)$/.exec(location.hash)?.[1] ?? 0) - 1]; if (item) table.choose(item); draw(); };
addEventListener("hashchange", linked);
linked();
