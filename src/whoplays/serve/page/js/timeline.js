// The waveform, a lane for each label that plays or may play, a map of the whole and a time axis. Zoom by wheel, pinch, keys
// and buttons; drag to move; click to go there.

import { el, surface } from "./dom.js";
import { colourOf, isInstrument, nameOf, outline, parentOf } from "./labels.js";
import { spectrogram } from "./spectrogram.js";
import { View, outlined, pyramid } from "./view.js";
import { capital, clock, number, t } from "./words.js";

const folded = new Set(); // families whose instruments are folded in, for all recordings

/** Seconds between two marks of an axis that shows `length` seconds in about `count` parts. */
export function spacing(length, count) {
  return [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200].find((s) => length / s <= count) ?? 14400;
}

function drawBars(canvas, peaks, most, from, to, played, colours) {
  const [ink, width, height] = surface(canvas);
  const columns = Math.max(1, Math.floor(width / 5));
  const step = width / columns;
  outlined(peaks, from, to, columns).forEach((level, i) => {
    const half = Math.max(0.6, (height / 2 - 1) * Math.pow(level / most, 0.7));
    ink.fillStyle = (i + 0.5) / columns <= played ? colours[1] : colours[0];
    ink.fillRect(i * step, height / 2 - half, step * 0.6, 2 * half);
  });
}

function drawScores(canvas, scores, from, to, colour) {
  const [ink, width, height] = surface(canvas);
  const columns = Math.max(1, Math.min(Math.floor(width), 1200));
  ink.fillStyle = colour;
  ink.beginPath();
  ink.moveTo(0, height);
  outlined(scores, from, to, columns).forEach((score, i) => {
    const y = height * (1 - score / 255);
    ink.lineTo((i * width) / columns, y);
    ink.lineTo(((i + 1) * width) / columns, y);
  });
  ink.lineTo(width, height);
  ink.fill();
}

function stretches(id, result, unsure, seek) {
  const { start, end } = result.details;
  const every = unsure ? result.details.segments : result.segments;
  return every.filter((segment) => segment.label === id).map((segment, i) => {
    const words = t(unsure ? "unsureStretch" : "stretch", { name: nameOf(id), from: clock(segment.start), to: clock(segment.end), score: number(segment.score) });
    return el("li", { css: { left: `${(100 * (segment.start - start)) / (end - start)}%`, width: `${(100 * (segment.end - segment.start)) / (end - start)}%` } },
      el("button", { type: "button", tabindex: i ? -1 : 0, class: unsure ? "stretch unsure" : "stretch", title: words, "aria-label": words, onclick: (event) => { event.stopPropagation(); seek(segment.start); } }));
  });
}

/** Return {element, setTime, zoom, pan, fit}. seek(seconds) is called when someone points at a time. */
export function timeline(result, seek) {
  const { start, end, frame_scores } = result.details;
  const view = new View(start, end);
  const peaks = pyramid(result.details.peaks);
  const most = Math.max(1, ...(peaks.at(-1) ?? []));
  const shown = outline([...result.playing, ...result.maybe]);
  const wave = el("canvas", { class: "wave-canvas", "aria-hidden": "true" });
  const map = el("canvas", { class: "map-canvas", "aria-hidden": "true" });
  const frame = el("div", { class: "map-frame", "aria-hidden": "true" });
  const mapBox = el("div", { class: "map", "aria-hidden": "true" }, map, frame);
  const waveBox = el("div", { class: "wave" }, wave);
  const pitch = spectrogram(result.details);
  const axis = el("div", { class: "axis", "aria-hidden": "true" });
  const lanes = shown.map((id) => {
    const [unsure, children] = [!result.playing.includes(id), shown.filter((one) => parentOf(one) === id)];
    const canvas = el("canvas", { class: "lane-canvas", "aria-hidden": "true" });
    const items = stretches(id, result, unsure, seek);
    const name = el("div", { class: `lane-name${unsure ? " unsure" : ""}${isInstrument(id) ? " instrument" : ""}`, css: { "--tint": colourOf(id) } },
      el("span", { class: "swatch", "aria-hidden": "true" }), el("span", {}, capital(nameOf(id)), unsure && el("small", {}, ` ${t("maybe")}`)));
    const box = el("div", { class: "lane", css: { "--tint": colourOf(id) } }, canvas, items.length > 0 && el("ul", { class: "track" }, ...items));
    if (children.length) {
      const fold = el("button", { type: "button", class: "fold", "aria-expanded": String(!folded.has(id)), "aria-label": t("instrumentsOf", { name: nameOf(id) }), onclick: () => {
        if (!folded.delete(id)) folded.add(id);
        fold.setAttribute("aria-expanded", String(!folded.has(id)));
        hide();
      } });
      name.append(fold);
    }
    return { id, name, box, canvas, scores: frame_scores[id] && pyramid(frame_scores[id]) };
  });
  const hide = () => { for (const lane of lanes) lane.name.hidden = lane.box.hidden = folded.has(parentOf(lane.id)); draw(); };
  const tools = el("div", { class: "zoom", role: "group", "aria-label": t("zoom") },
    ...[["−", "zoomOut", () => zoom(0.5)], ["+", "zoomIn", () => zoom(2)], ["⤢", "zoomFit", () => fit()]].map(([sign, key, act]) =>
      el("button", { type: "button", "aria-label": t(key), title: t(key), onclick: act }, sign)));
  const head = el("div", { class: "playhead", "aria-hidden": "true" });
  const element = el("div", { class: "timeline", role: "group", "aria-label": t("timeline") }, tools, mapBox,
    el("div", { class: "lane-name", "aria-hidden": "true" }), waveBox, ...pitch, ...lanes.flatMap(({ name, box }) => [name, box]),
    el("div", { "aria-hidden": "true", class: "lane-name" }), axis, el("div", { class: "over", "aria-hidden": "true" }, head));
  const tracks = Object.assign([...element.querySelectorAll(".track")], { zoom: 1 });
  let now = start;
  let waiting = 0;
  /** @type {any} {wave, lanes}, read once a drawing needs them */
  let colours = null;
  const readColours = () => {
    const style = getComputedStyle(element);
    colours = { wave: [style.getPropertyValue("--wave-rest").trim(), style.getPropertyValue("--ink").trim()], lanes: lanes.map(({ box }) => getComputedStyle(box).color) };
  };
  const part = (seconds) => (seconds - start) / (end - start);
  function drawNow() {
    waiting = 0;
    if (!element.isConnected) return;
    if (!colours) readColours();
    element.style.setProperty("--zoom", String(view.zoom));
    element.style.setProperty("--from", String(part(view.from)));
    for (const track of tracks) {
      if (tracks.zoom !== view.zoom) track.style.width = `${100 * view.zoom}%`;
      track.style.transform = `translateX(${-100 * part(view.from)}%)`;
    }
    tracks.zoom = view.zoom;
    frame.style.left = `${100 * part(view.from)}%`;
    frame.style.width = `${100 / view.zoom}%`;
    frame.hidden = view.zoom < 1.001;
    drawBars(wave, peaks, most, part(view.from), part(view.to), view.share(now), colours.wave);
    lanes.forEach(({ canvas, box, scores }, i) => { if (!box.hidden && scores) drawScores(canvas, scores, part(view.from), part(view.to), colours.lanes[i]); });
    drawAxis();
    place();
  }
  function drawAxis() {
    const every = spacing(view.to - view.from, Math.max(3, Math.min(10.1, axis.clientWidth / 60)));
    const marks = [];
    for (let at = Math.ceil(view.from / every) * every; at <= view.to - every * 0.3 || (at === view.from && !marks.length); at += every)
      marks.push(el("span", { css: { left: `${100 * view.share(at)}%` } }, every < 1 ? number(at, 1) : clock(at)));
    axis.replaceChildren(...marks);
  }
  const place = () => { head.style.left = `${100 * view.share(now)}%`; head.hidden = now < view.from || now > view.to; };
  const draw = () => { waiting ||= requestAnimationFrame(drawNow); };
  const drawMap = () => { if (!colours) readColours(); drawBars(map, peaks, most, 0, 1, 0, colours.wave); };
  const zoom = (factor, around) => { view.scale(factor, around ?? (now >= view.from && now <= view.to ? now : undefined)); draw(); };
  const pan = (share) => { view.move(share * (view.to - view.from)); draw(); };
  const fit = () => { view.fit(); draw(); };
  const setTime = (seconds) => {
    now = Math.min(end, Math.max(start, seconds));
    view.reveal(now);
    draw();
  };
  point(element, waveBox, view, { seek, draw, zoom, pan });
  walk(element, (share) => { if (view.reveal(start + share * (end - start))) draw(); });
  mapBox.addEventListener("pointerdown", (event) => {
    const to = (e) => { const box = mapBox.getBoundingClientRect(); view.move(start + ((e.clientX - box.left) / box.width) * (end - start) - (view.from + view.to) / 2); draw(); };
    const zoomed = view.zoom > 1.001;
    if (!zoomed) { const box = mapBox.getBoundingClientRect(); seek(start + ((event.clientX - box.left) / box.width) * (end - start)); return; }
    to(event);
    mapBox.setPointerCapture(event.pointerId);
    mapBox.onpointermove = to;
    mapBox.onpointerup = mapBox.onpointercancel = () => { mapBox.onpointermove = null; };
  });
  new ResizeObserver(() => { draw(); drawMap(); }).observe(waveBox);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const recolour = () => { if (!element.isConnected) return dark.removeEventListener("change", recolour); colours = null; draw(); drawMap(); };
  dark.addEventListener("change", recolour);
  hide();
  return { element, setTime, zoom, pan, fit };
}

/** Tab stops once in each lane; arrows go from there to its other stretches, and what has the focus is shown. */
function walk(element, reveal) {
  const stretchOf = (event) => event.target.closest(".stretch");
  element.addEventListener("focusin", (event) => { if (stretchOf(event)?.matches(":focus-visible")) reveal(parseFloat(stretchOf(event).parentElement.style.left) / 100); });
  element.addEventListener("keydown", (event) => {
    const [at, way] = [stretchOf(event)?.parentElement, { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" }[event.key]];
    if (!at || !way || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const next = at[way]?.firstElementChild;
    if (!next) return;
    at.firstElementChild.tabIndex = -1;
    next.tabIndex = 0;
    next.focus({ preventScroll: true });
  });
}

/** Clicks seek, drags pan, wheels and two fingers zoom. */
function point(element, wave, view, { seek, draw, zoom, pan }) {
  const fingers = new Map();
  let dragged = false;
  const share = (x) => { const box = wave.getBoundingClientRect(); return (x - box.left) / box.width; };
  const inside = (event) => event.target.closest(".wave, .pitch, .lane");
  element.addEventListener("wheel", (event) => {
    if (!inside(event)) return;
    if (event.ctrlKey || event.metaKey || (event.target.closest(".wave") && Math.abs(event.deltaY) > Math.abs(event.deltaX) && !event.shiftKey)) {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), view.secondAt(share(event.clientX)));
    } else if (view.zoom > 1.001 && (event.deltaX || event.shiftKey)) {
      event.preventDefault();
      pan((event.deltaX || event.deltaY) / wave.clientWidth);
    }
  }, { passive: false });
  element.addEventListener("pointerdown", (event) => { if (inside(event)) { if (!fingers.size) dragged = false; fingers.set(event.pointerId, event.clientX); } });
  addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    if (!element.isConnected || !fingers.has(event.pointerId)) return;
    const before = [...fingers.values()];
    const old = fingers.get(event.pointerId);
    if (fingers.size === 1 && !dragged && Math.abs(event.clientX - old) < 5) return;
    dragged = true;
    fingers.set(event.pointerId, event.clientX);
    const after = [...fingers.values()];
    if (fingers.size === 2) zoom(Math.max(8, Math.abs(after[0] - after[1])) / Math.max(8, Math.abs(before[0] - before[1])), view.secondAt(share((after[0] + after[1]) / 2)));
    else { view.move(((old - event.clientX) / wave.clientWidth) * (view.to - view.from)); draw(); }
  });
  for (const name of /** @type {("pointerup" | "pointercancel")[]} */ (["pointerup", "pointercancel"])) addEventListener(name, (event) => fingers.delete(event.pointerId));
  element.addEventListener("click", (event) => {
    if (dragged) { event.preventDefault(); event.stopPropagation(); dragged = false; }
    else if (inside(event) && !event.target.closest("button")) {
      const at = share(event.clientX);
      if (at >= 0 && at <= 1) seek(view.secondAt(at));
    }
  }, true);
}
