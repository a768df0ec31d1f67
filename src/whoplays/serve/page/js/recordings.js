// The table of recordings: what plays in each and how sure that is; sorted, filtered by an expression, selected, exported.

import { $, el, save } from "./dom.js";
import { audacity, csv, json, m3u } from "./exports.js";
import { colourOf } from "./labels.js";
import { parse } from "./query.js";
import { headline, named } from "./result.js";
import { clock, language, number, shortened, t } from "./words.js";
import { zip } from "./zip.js";

const COLUMNS = ["name", "length", "plays", "sureness"];
const KINDS = { csv: "text/csv", json: "application/json", zip: "application/zip", m3u: "audio/x-mpegurl" };

/** How sure the least sure of what is named is, 0 to 1. */
const sureness = (result) => Math.min(...named(result).map((id) => result.scores[id]));

/**
 * page: {items(), shown(), resultOf(item), show(item), whyOf(trouble), remove(items)}; remove may be missing.
 * Returns {draw, update, beside, filter}. beside: the recording before (-1) or after (1) one. filter: by an expression.
 */
export function recordings(page) {
  const rows = new WeakMap(); // item -> its row and the parts of it that change
  const selected = new Set();
  let [by, down] = ["", false];
  /** @type {(item: any) => boolean} */
  let passes = () => true;
  const body = $("items");

  /** @type {(item: any) => any} */
  const resultOf = (item) => (item.result ? page.resultOf(item) : null);
  const KEYS = {
    name: (item) => item.name, length: (item) => item.result?.duration ?? -1,
    plays: (item) => (item.result ? headline(resultOf(item)) : "\uffff"), sureness: (item) => (resultOf(item)?.playing.length ? sureness(resultOf(item)) : -1),
  };

  /** What stays the same in a row. */
  function rowOf(item) {
    const found = rows.get(item);
    if (found?.lang === language()) return found;
    const box = el("input", { type: "checkbox", "aria-label": t("select", { name: item.name }), onchange: () => { if (box.checked) selected.add(item); else selected.delete(item); count(); } });
    const button = el("button", { type: "button", title: item.name, onclick: () => page.show(item) }, shortened(item.short ?? item.name));
    const [length, state, sure] = [el("td"), el("td"), el("td")];
    const row = found?.row ?? el("tr");
    row.replaceChildren(el("td", {}, box), el("th", { scope: "row" }, button), length, state, sure,
      el("td", {}, page.remove && el("button", { type: "button", class: "remove", "aria-label": t("remove", { name: item.name }), onclick: () => page.remove([item]) }, "×")));
    const made = { row, box, button, length, state, sure, lang: language(), shown: "" };
    rows.set(item, made);
    return made;
  }

  /** Write what is new into a recording's row, and return it. A thousand rows are not made anew when the table is sorted. */
  function fill(item) {
    const { row, box, button, length, state, sure, ...made } = rowOf(item);
    const result = resultOf(item);
    const ids = result ? named(result) : [];
    const words = { waiting: t("waiting"), working: t("analysing"), failed: item.trouble ? page.whyOf(item.trouble) || t("failed") : "" }[item.state] ?? headline(result);
    box.checked = selected.has(item);
    row.classList.toggle("current", item === page.shown());
    if (item === page.shown()) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    const shown = JSON.stringify([item.state, words, ids, result?.duration, ids.length && sureness(result), item.analysed, item.duration]);
    if (shown === made.shown) return row;
    rows.get(item).shown = shown;
    button.className = `item ${item.state}`;
    state.className = `item-state ${item.state}`;
    length.textContent = result ? clock(result.duration) : "";
    sure.textContent = ids.length ? number(sureness(result)) : "";
    const dots = ids.map((id) => el("span", { class: "swatch", css: { "--tint": colourOf(id) }, "aria-hidden": "true" }));
    const bar = item.state === "working" && el("progress", { max: 1, value: item.duration ? Math.min(1, (item.analysed ?? 0) / item.duration) : undefined, "aria-label": t("analysing") });
    state.replaceChildren(...dots, el("span", {}, words), ...(bar ? [bar] : []));
    return row;
  }

  const listed = () => {
    const found = page.items().filter((item) => passes(item));
    if (!by) return found;
    const compare = new Intl.Collator(language()).compare;
    const keyed = found.map((item) => ({ item, key: KEYS[by](item) }));
    keyed.sort(({ key: x }, { key: y }) => (down ? -1 : 1) * (typeof x === "string" ? compare(x, y) : x - y));
    return keyed.map(({ item }) => item);
  };

  function count() {
    const items = page.items();
    const left = items.filter((item) => ["waiting", "working"].includes(item.state)).length;
    const failed = items.filter((item) => item.state === "failed").length;
    $("count").textContent = [t("countOf", { shown: body.childElementCount, all: items.length }), left && t("countLeft", { n: left }), failed && t("countFailed", { n: failed }), selected.size && t("countSelected", { n: selected.size })].filter(Boolean).join(" · ");
    $("queue").hidden = !left;
    $("queue").value = (items.length - left) / Math.max(1, items.length);
    $("all").checked = selected.size > 0 && listed().every((item) => selected.has(item));
    $("remove-selected").hidden = !page.remove || !selected.size;
  }

  function draw() {
    for (const item of selected) if (!page.items().includes(item)) selected.delete(item);
    body.replaceChildren(...listed().map(fill));
    for (const head of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#list th[data-by]"))) {
      if (head.dataset.by === by) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    count();
  }

  /** Show what is new about one recording, and no other. */
  function update(item) {
    if (page.items().length < 2) return;
    if (Boolean(rows.get(item)?.row.isConnected) === passes(item)) { fill(item); count(); } else draw();
  }

  function filter() {
    const text = $("filter").value.trim();
    $("filter-note").textContent = "";
    passes = () => true;
    if (text) {
      try {
        const fits = parse(text);
        passes = (item) => Boolean(item.result) && fits({ ...resultOf(item), path: item.name });
      } catch (error) {
        const words = text.toLocaleLowerCase();
        passes = (item) => item.name.toLocaleLowerCase().includes(words);
        $("filter-note").textContent = t("filterByName", { at: error.message || text });
      }
    }
    draw();
  }

  function exported(kind) {
    const items = (selected.size ? listed().filter((item) => selected.has(item)) : listed()).filter((item) => item.result || item.state === "failed");
    const results = items.map((item) => (item.result ? { ...resultOf(item), path: item.name } : { path: item.name, error: page.whyOf(item.trouble) }));
    const good = results.filter((one) => !("error" in one));
    const content = { csv: () => csv(results), json: () => json(results), m3u: () => m3u(good), zip: () => zip(good.map((one) => [`${one.path.replace(/\.[^./]*$/, "")}.txt`, audacity(one)])) }[kind]();
    save(content instanceof Blob ? content : new Blob([content], { type: KINDS[kind] }), `whoplays.${kind}`);
  }

  for (const name of COLUMNS) document.querySelector(`#list th[data-by=${name}] button`)?.addEventListener("click", () => { down = by === name && !down; by = name; draw(); });
  for (const kind of Object.keys(KINDS)) $(`export-${kind}`).addEventListener("click", () => exported(kind));
  $("filter").addEventListener("input", filter);
  $("all").addEventListener("change", () => { for (const item of listed()) if ($("all").checked) selected.add(item); else selected.delete(item); draw(); });
  $("remove-selected").addEventListener("click", () => page.remove([...selected]));
  return {
    draw, update,
    beside: (item, way) => { const all = listed(); return all[all.indexOf(item) + way]; },
    filter: (text) => { $("filter").value = text; filter(); $("filter").focus(); },
  };
}
