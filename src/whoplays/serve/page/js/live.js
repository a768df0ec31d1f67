// The microphone: lanes of the last half minute, which scroll with the labels that play.

import { $, el, surface } from "./dom.js";
import { colourOf, everyLabel, isInstrument, nameOf, outline } from "./labels.js";
import { startRecording } from "./recorder.js";
import { capital, clock, number } from "./words.js";

const SHOWN_S = 30;

/**
 * Start, and show what is detected until it is stopped. Throws what getUserMedia throws.
 * @param {import("./recogniser.js").Recogniser} recogniser @param {string} name of the recording
 * @returns {Promise<{stop: () => Promise<File>}>} stop: ends it and gives the recording
 */
export async function listen(recogniser, name) {
  /** @type {{from: number, to: number, scores: Record<string, number>}[]} */
  let steps = [];
  const lanes = new Map(); // label -> {name, box, canvas, number}
  const begun = performance.now();
  let ended = false;
  const now = () => (performance.now() - begun) / 1000;

  const level = $("live-level");
  const stop = await startRecording(recogniser, name, {
    onScores: (scores) => show(scores),
    onLevel: (value) => level.style.setProperty("--score", String(Math.min(1, Math.sqrt(value)))),
  });

  /** @param {Record<string, number>} scores of the time since the ones before */
  function show(scores) {
    const at = now();
    steps = steps.filter((step) => step.to > at - SHOWN_S);
    steps.push({ from: steps.at(-1)?.to ?? Math.max(0, at - 1), to: at, scores });
    const shown = outline(everyLabel().filter(({ id, maybe }) => steps.some((step) => step.scores[id] >= maybe)).map(({ id }) => id));
    const found = shown.map((id) => lanes.get(id) ?? lane(id));
    for (const [i, id] of shown.entries()) {
      const { threshold } = everyLabel().find((label) => label.id === id);
      found[i].name.classList.toggle("unsure", scores[id] < threshold);
      found[i].number.textContent = number(scores[id]);
    }
    if (String([...lanes.keys()]) !== String(shown)) {
      lanes.clear();
      shown.forEach((id, i) => lanes.set(id, found[i]));
      $("lanes").replaceChildren(...found.flatMap((one) => [one.name, one.box]));
    }
    $("live-none").hidden = shown.length > 0;
    draw();
  }

  function lane(id) {
    const canvas = el("canvas", { "aria-hidden": "true" });
    const score = el("small", { class: "live-score" });
    return {
      canvas, number: score, box: el("div", { class: "lane", css: { "--tint": colourOf(id) } }, canvas),
      name: el("div", { class: `lane-name${isInstrument(id) ? " instrument" : ""}`, css: { "--tint": colourOf(id) } }, el("span", { class: "swatch", "aria-hidden": "true" }), el("span", {}, capital(nameOf(id))), score),
    };
  }

  function draw() {
    const at = now();
    for (const [id, { canvas, box }] of lanes) {
      const [ink, width, height] = surface(canvas);
      const { threshold } = everyLabel().find((label) => label.id === id);
      ink.fillStyle = getComputedStyle(box).color;
      for (const { from, to, scores } of steps) {
        const [left, right] = [from, to].map((second) => width * (1 - (at - second) / SHOWN_S));
        ink.globalAlpha = scores[id] >= threshold ? 0.95 : 0.3;
        ink.fillRect(left, height * (1 - scores[id]), Math.max(1, right - left), height * scores[id]);
      }
    }
  }

  function tick() {
    if (ended) return;
    $("live-time").textContent = clock(now());
    draw();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) setTimeout(tick, 1000);
    else requestAnimationFrame(tick);
  }

  $("lanes").replaceChildren();
  $("live-none").hidden = false;
  $("live").hidden = false;
  tick();
  return {
    stop: () => {
      ended = true;
      $("live").hidden = true;
      return stop();
    },
  };
}
