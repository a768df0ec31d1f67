// The built package in Chromium: the same results as the Python package, and no request to another host.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { type Browser, type Page, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Host, host } from "./host.js";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const DIST = new URL("../dist/", import.meta.url).pathname;
const RUNTIME = new URL("../node_modules/onnxruntime-web/dist/", import.meta.url).pathname;
const EXAMPLES = new URL("../../src/whoplays/examples/", import.meta.url).pathname;
const PYTHON = process.env.WHOPLAYS_PYTHON;

describe.skipIf(!existsSync(CHROMIUM) || !existsSync(join(DIST, "worker.js")))("the package in Chromium", () => {
  let files: Host;
  let browser: Browser;
  let page: Page;
  const requested: string[] = [];

  beforeAll(async () => {
    files = await host({ "examples/": EXAMPLES, "runtime/": RUNTIME, "": DIST });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
    page = await browser.newPage();
    page.on("request", (request) => requested.push(request.url()));
    await page.goto(files.address);
    await page.evaluate("import('/index.js').then(async (m) => { globalThis.recogniser = await m.load(); })");
  });

  afterAll(async () => {
    await browser?.close();
    files?.close();
  });

  const predict = (path: string) => page.evaluate<any>(`(async () => {
    const blob = await (await fetch(${JSON.stringify(path)})).blob();
    try { const p = await recogniser.predict(new File([blob], "x")); return { ...p, frame_scores: 0, frame_times: 0 }; }
    catch (error) { return { code: error.code, message: error.message }; }
  })()`);

  it("brings the licence of each part", () => {
    const text = readFileSync(join(DIST, "LICENCES.txt"), "utf8");
    for (const part of ["onnxruntime-web", "mediabunny", "fft.js", "@noble/hashes", "@echogarden/speex-resampler-wasm", "@audio/decode-wma", "@audio/decode-wavpack", "@mediabunny/ac3"]) expect(text).toMatch(new RegExp(`^${part} [\\d.]+ \\(`, "m"));
    expect(text).toContain("Copyright (c) Microsoft Corporation");
    expect(text).toContain("protocolbuffers/protobuf"); // within its WebAssembly
    expect(text).toContain("GNU LESSER GENERAL PUBLIC LICENSE"); // FFmpeg's
  });

  it("asks its own host alone", async () => {
    await predict("examples/band.ogg");
    expect(requested.filter((url) => !url.startsWith(files.address) && !url.startsWith("blob:"))).toEqual([]);
  });

  it.each(["band.ogg", "violin-and-piano.ogg", "brass-quartet.ogg"])("names what plays in %s", async (name) => {
    const found = await predict(`examples/${name}`);
    expect(found.playing.length).toBeGreaterThan(0);
    if (!PYTHON) return;
    const expected = JSON.parse(execFileSync(PYTHON, ["-m", "whoplays", "predict", join(EXAMPLES, name), "--format", "jsonl"], { encoding: "utf8" }));
    expect(found.playing).toEqual(expected.playing);
    for (const [label, score] of Object.entries<number>(expected.scores)) expect(Math.abs(found.scores[label] - score), label).toBeLessThan(0.02);
    expect(found.duration).toBeCloseTo(expected.duration, 1);
    expect(found.warnings).toEqual(expected.warnings);
  });

  it.each([
    ["wasm", "no graphics processor", []],
    ["webgpu", "one made of software", ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]],
  ])("runs by %s with %s on request", async (device, _, flags) => {
    const other = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage", ...flags.length ? flags : ["--disable-gpu"]] });
    try {
      const graphic = await other.newPage();
      await graphic.goto(files.address);
      const found = await graphic.evaluate<any>(`import('/index.js').then(async ({ load }) => {
        const recogniser = await load({ webgpu: "runtime" });
        const file = await (await fetch("examples/band.ogg")).blob();
        const [{ scores, playing }, wrong] = [await recogniser.predict(file), await load({ webgpu: "nowhere" }).catch((error) => error.message)];
        return { device: recogniser.device, scores, playing, wrong: String(wrong.device ?? wrong) };
      })`);
      expect(found.device).toBe(device);
      const { scores, playing } = await predict("examples/band.ogg");
      expect(found.playing).toEqual(playing);
      for (const [label, score] of Object.entries<number>(scores)) expect(Math.abs(found.scores[label] - score), label).toBeLessThan(0.02);
      if (device === "webgpu") expect(found.wrong).toMatch(/^ort\.webgpu\.min\.mjs cannot be fetched \(.*\); are all files of the package there\?$/);
    } finally {
      await other.close();
    }
  });

  it("says in a line what cannot be used, and goes on", async () => {
    const wrong = await page.evaluate<any[]>(`Promise.all([[], new Array(5000).fill(65), [...new TextEncoder().encode("MThd")], [...new TextEncoder().encode("FORM....AIFF")]].map((bytes) =>
      recogniser.predict(new Blob([Uint8Array.from(bytes)])).catch((error) => [error.code, error.reason, error.message, error.text("pl")])))`);
    expect(wrong[0]).toEqual(["not-a-recording", "empty", "is empty (0 bytes)", "jest pusty (0 bajtów)"]);
    expect(wrong[1].slice(0, 2)).toEqual(["not-a-recording", "unreadable"]);
    expect(wrong[2].slice(0, 3)).toEqual(["not-a-recording", "format", "is MIDI, which browsers cannot decode; convert it to WAV or FLAC"]);
    expect(wrong[3][2]).toBe("cannot be decoded (AIFF without samples); is it damaged?");
    const long = await page.evaluate<string[]>(`recogniser.predict(new Float32Array(44100 * 3), { sampleRate: 44100, maxDuration: 2 }).catch((error) => [error.code, error.message])`);
    expect(long[0]).toBe("too-long");
    expect((await predict("examples/band.ogg")).playing.length).toBeGreaterThan(0);
  });

  it("embeds a recording as a unit vector", async () => {
    const [width, length, own, other] = await page.evaluate<number[]>(`(async () => {
      const tone = (pitch) => Float32Array.from({ length: 44100 }, (_, i) => 0.3 * Math.sin(i * pitch));
      const [a, b, c] = [await recogniser.embed(tone(0.06), { sampleRate: 44100 }), await recogniser.embed(tone(0.06), { sampleRate: 44100 }), await recogniser.embed(tone(0.4), { sampleRate: 44100 })];
      const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
      return [a.length, dot(a, a), dot(a, b), dot(a, c)];
    })()`);
    expect(width).toBe(128);
    expect(length).toBeCloseTo(1, 5);
    expect(own).toBeCloseTo(1, 5);
    expect(other).toBeLessThan(0.99);
  });

  it("embeds samples that are NaN or infinite as zeros, as Python does", async () => {
    const found = await page.evaluate<number[]>(`Promise.all([NaN, Infinity].map(async (value) => {
      const vector = await recogniser.embed(new Float32Array(44100).fill(value), { sampleRate: 44100 });
      return [vector.length, vector.some((x) => x !== 0)];
    })).then((all) => all.flat())`);
    expect(found).toEqual([128, false, 128, false]);
  });

  it("warns of what could mislead", async () => {
    const codes = await page.evaluate<string[][]>(`(async () => {
      const noise = Float32Array.from({ length: 44100 * 2 }, () => 1.8 * Math.random() - 0.9);
      const codes = async (channels, sampleRate = 44100) => (await recogniser.predict(channels, { sampleRate })).warnings.map(({ code }) => code);
      return [await codes(new Float32Array(44100)), await codes([noise, noise.map((x) => -x)]), await codes(noise.map((x) => Math.max(-1, Math.min(1, 4 * x)))), await codes(noise, 5000)];
    })()`);
    [["silent"], ["channels"], ["clipped"], ["low_rate"]].forEach((wanted, i) => expect(codes[i]).toEqual(expect.arrayContaining(wanted)));
  });

  it("stops on request", async () => {
    const code = await page.evaluate(`(async () => {
      const stop = new AbortController();
      const samples = new Float32Array(44100 * 300);
      const done = recogniser.predict(samples, { sampleRate: 44100, signal: stop.signal, onProgress: () => stop.abort() });
      return done.then(() => "finished", (error) => error.code);
    })()`);
    expect(code).toBe("stopped");
  });

  it("gives a stream the answer of its samples, and scores on the way", async () => {
    const { live, whole, scores } = await page.evaluate<any>(`(async () => {
      const samples = Float32Array.from({ length: 44100 * 6 }, (_, i) => 0.3 * Math.sin(i / 20) * Math.exp(-((i % 22050) / 8000)));
      let scores = 0;
      const stream = recogniser.stream(44100, () => { scores++; });
      for (let at = 0; at < samples.length; at += 4410) stream.push(samples.slice(at, at + 4410));
      return { live: (await stream.finish()).scores, whole: (await recogniser.predict(samples, { sampleRate: 44100 })).scores, scores };
    })()`);
    expect(scores).toBeGreaterThan(2);
    for (const label of Object.keys(whole)) expect(Math.abs(live[label] - whole[label])).toBeLessThan(1e-3);
  });

  it("ends a stream at a block that cannot be used, and says why", async () => {
    const reasons = await page.evaluate<string[]>(`(async () => {
      const reasons = [];
      const failed = new Promise((resolve) => {
        const stream = recogniser.stream(44100, () => {}, (error) => { reasons.push(error.reason); resolve(stream); });
        stream.push(new Float32Array(4410).fill(NaN));
      });
      await (await failed).finish().catch((error) => reasons.push(error.reason));
      const other = recogniser.stream(44100);
      try { other.push([0, 1]); } catch (error) { reasons.push(error.reason); }
      other.push(new Float32Array(4410).fill(Infinity));
      await other.finish().catch((error) => reasons.push(error.reason));
      try { other.push(new Float32Array(1)); } catch (error) { reasons.push(error.reason); }
      return reasons;
    })()`);
    expect(reasons.slice(0, 4)).toEqual(["notFinite", "notFinite", "blocks", "notFinite"]);
  });
}, 120_000);
