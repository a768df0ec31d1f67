// What is shown of recordings: their table, the control of thresholds, one of them in full, and the keys. The page has it, and the
// report that opens offline has it too.

import { collection } from "./collection.js";
import { $, el } from "./dom.js";
import { recordings } from "./recordings.js";
import { resultView } from "./result.js";
import { shownAt } from "./thresholds.js";
import { percent, t } from "./words.js";

/**
 * @param {any} source {items(), whyOf(trouble), detailsOf(item), addressOf(item), waiting(item), failed(item), gone(item), remove(items), report(item)}.
 *   detailsOf: a promise of what the pictures need, or null where it is gone. addressOf: of the sound, "" without any.
 *   waiting, failed: what stands for a recording without a result. gone: the trouble of one whose pictures are lost.
 *   remove: missing where nothing can be taken off. report: a promise of the report about one, missing inside a report.
 * Returns {draw, update, choose, shown, resultOf, setPoints}.
 */
export function desk(source) {
  /** @type {any} one of the items */
  let shown = null;
  /** @type {any} of the shown result: {player, picture} */
  let view = null;
  let position = 0; // of the control of thresholds, -1 to 1
  let points = []; // what its positions cost

  /** @type {WeakMap<any, {position: number, details: any, own: any, result: any}>} */
  const moved = new WeakMap(); // item -> its result at another position of the control

  /** The result of a recording at the control's position. */
  function resultOf(item) {
    if (!position) return item.result;
    const known = moved.get(item);
    const { details } = item.result;
    if (known?.position === position && known.details === details && known.own === item.result) return known.result;
    const result = shownAt(item.result, position);
    moved.set(item, { position, details, own: item.result, result });
    return result;
  }

  const show = (item) => { turnTo(item); $("items").querySelector("[aria-current]")?.focus(); $("shown").scrollIntoView({ block: "nearest" }); };
  const list = recordings({ ...source, shown: () => shown, resultOf, show });
  const summary = collection({ results: () => source.items().filter((item) => item.result).map(resultOf), filter: list.filter });

  /** Let go of a recording's sound, of which a browser holds megabytes. */
  function silence(item) {
    item.sound.onerror = null;
    item.sound.removeAttribute("src");
    item.sound.load();
    item.sound = null;
  }

  function choose(item) {
    if (shown === item) return;
    if (shown?.sound) silence(shown);
    if (shown?.kept && shown.result) shown.result.details = null; // read again when it is shown again
    shown = item;
  }

  /** Show another recording. */
  function turnTo(item) {
    const before = shown;
    choose(item);
    if (before) list.update(before);
    list.update(item);
    drawShown();
  }

  function draw() {
    const many = source.items().length > 1;
    $("list").hidden = $("collection").hidden = !many;
    if (many) { list.draw(); summary.draw(); }
    drawShown();
  }

  /** Show what is new about one recording. */
  function update(item) {
    if (item === shown) drawShown();
    list.update(item);
    if (source.items().length > 1) summary.draw();
  }

  function drawShown() {
    view = null;
    $("sure").hidden = !shown?.result && !source.items().some((item) => item.result);
    const item = shown;
    if (!item) return $("shown").replaceChildren();
    if (item.state === "failed") return $("shown").replaceChildren(source.failed(item));
    if (item.state !== "done") return $("shown").replaceChildren(source.waiting(item));
    if (item.result.details) return $("shown").replaceChildren(whole(item));
    $("shown").replaceChildren();
    source.detailsOf(item).then((details) => {
      item.result.details = details;
      if (!details) Object.assign(item, { state: "failed", result: null, trouble: source.gone(item) });
      if (item === shown) drawShown();
    });
    return undefined;
  }

  function whole(item) {
    if (!item.sound) {
      item.sound = new Audio();
      const address = source.addressOf(item);
      if (address) item.sound.src = address;
      item.sound.preload = "metadata";
    }
    view = resultView(resultOf(item), item, { position, report: source.report });
    return view.element;
  }

  // The keys

  const segments = () => resultOf(shown).segments;
  const now = () => shown.sound.currentTime;

  /** Go to the next segment (1) or the one before (-1). */
  function step(way) {
    const starts = segments().map((s) => s.start).sort((a, b) => way * (a - b));
    const next = starts.find((at) => way * (at - now()) > (way > 0 ? 0.05 : 1));
    if (next !== undefined) view.player.seek(next);
  }

  /** Show the next recording (1) or the one before (-1). */
  function turn(way) {
    const next = list.beside(shown, way);
    if (next) turnTo(next);
  }

  function loop() {
    const found = segments().find((s) => now() >= s.start - 0.05 && now() < s.end);
    if (found) view.player.repeat(found);
  }

  const keys = {
    " ": () => view.player.toggle(), ArrowLeft: () => view.player.seek(now() - 5), ArrowRight: () => view.player.seek(now() + 5),
    "Shift+ArrowLeft": () => view.picture.pan(-0.25), "Shift+ArrowRight": () => view.picture.pan(0.25),
    "+": () => view.picture.zoom(2), "=": () => view.picture.zoom(2), "-": () => view.picture.zoom(0.5), 0: () => view.picture.fit(),
    n: () => step(1), p: () => step(-1), l: loop,
  };

  function help() {
    const rows = [[t("space"), "keyPlay"], ["← →", "keySeek"], ["N P", "keySegment"], ["J K", "keyFile"], ["+ − 0", "keyZoom"], ["Shift ← →", "keyPan"], ["L", "keyLoop"], ["?", "keyHelp"]];
    $("key-list").replaceChildren(...rows.flatMap(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, t(what))]));
    $("help").showModal();
  }

  addEventListener("keydown", (event) => {
    const target = /** @type {Element} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest?.("input, select, textarea, dialog")) return;
    if (event.key === "?") return help();
    if (event.key === "j" || event.key === "k") return turn(event.key === "j" ? 1 : -1);
    if (event.key === " " && target.closest?.("button, a, summary")) return;
    const act = keys[`${event.shiftKey && event.key.startsWith("Arrow") ? "Shift+" : ""}${event.key}`];
    if (!act || !view || !shown?.sound) return;
    event.preventDefault();
    act();
  });
  $("keys").addEventListener("click", help);

  // How sure

  function drawSure() {
    const near = [points.findLast((point) => point.position < position + 0.051), points.find((point) => point.position > position - 0.051)].filter(Boolean);
    const cost = (name) => [...new Set(near.map((point) => point[name]).sort((a, b) => a - b).map(percent))].join("–");
    $("sure-cost").textContent = near.length ? t("sureCost", { precision: cost("precision"), recall: cost("recall") }) : t("sureUnknown");
    const end = position < 0 ? t("sureFewer") : t("sureMore");
    $("sure-range").setAttribute("aria-valuetext", position ? `${end} ${percent(Math.abs(position))}` : "0");
  }

  let moving = 0;
  $("sure-range").addEventListener("input", () => {
    position = Number($("sure-range").value);
    drawSure();
    moving ||= requestAnimationFrame(() => { moving = 0; draw(); }); // once for all moves between two frames
  });

  const setPoints = (found) => { points = found; drawSure(); };
  return { draw: () => { drawSure(); draw(); }, update, choose, shown: () => shown, resultOf, setPoints };
}
