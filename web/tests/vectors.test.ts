// The same numbers as the Python package computes, which wrote vectors.json (scripts/web_vectors.py).

import { readFile } from "node:fs/promises";
import { inflateSync } from "node:zlib";

import { beforeAll, describe, expect, it } from "vitest";

import { readConfig } from "../src/config.js";
import { silence, unit, whole } from "../src/embedding.js";
import { Features } from "../src/features.js";
import { Network } from "../src/network.js";
import { attended, topShareMean } from "../src/pooling.js";
import { StreamPredictor, Recogniser } from "../src/recogniser.js";
import { openUncompressed } from "../src/pcm.js";
import { Downmix } from "../src/quality.js";
import { ratesBetween } from "../src/resampler.js";
import { stretches } from "../src/timeline.js";
import { Windows } from "../src/windows.js";

const MODEL = new URL("../../src/whoplays/pretrained/default/", import.meta.url);
const vectors = JSON.parse(await readFile(new URL("vectors.json", import.meta.url), "utf8"));

function noise(n: number, seed: number): Float64Array {
  let state = BigInt(seed);
  return Float64Array.from({ length: n }, () => {
    state = BigInt.asUintN(32, 1664525n * state + 1013904223n);
    return Number(state) / 2 ** 31 - 1;
  });
}

/** The sound of scripts/web_vectors.py. */
function sound(seconds: number, rate: number): Float32Array {
  const n = Math.round(seconds * rate);
  const [loud, soft] = [noise(n, 7), noise(n, 11)];
  return Float32Array.from({ length: n }, (_, i) => {
    const t = i / rate;
    const note = Math.floor(2 * t);
    const since = t - note / 2;
    const pitch = 110 * 2 ** (((note * 7) % 24) / 12);
    let tone = 0;
    for (let k = 1; k < 9; k++) tone += Math.sin(2 * Math.PI * k * pitch * since) / k;
    return 0.2 * tone * Math.exp(-3 * since) + 0.1 * Math.exp(-60 * ((4 * t) % 1)) * loud[i] + 0.001 * soft[i];
  });
}

/** The other one: it ends sharply below 4 kHz. */
function tones(seconds: number, rate: number): Float32Array {
  return Float32Array.from({ length: Math.round(seconds * rate) }, (_, i) => {
    let tone = 0;
    for (let k = 1; k < 31; k++) tone += Math.sin((2 * Math.PI * 120 * k * i) / rate);
    return 0.02 * tone;
  });
}

// Features are equal but for a unit in the last place, and so are the network's numbers, unless a sum of its first layer lies between
// two integers: it may fall to the other side, for ONNX Runtime adds in another order here, and moves a moment by as much as this.
const TIPPED = 2e-2;
const STEP_S = 0.32;

function expectClose(found: ArrayLike<number>, wanted: ArrayLike<number>, tolerance = 1e-3) {
  expect(found.length).toBe(wanted.length);
  const worst = Array.from(wanted).reduce((most, value, i) => Math.max(most, Math.abs(value - found[i])), 0);
  expect(worst).toBeLessThanOrEqual(tolerance);
}

describe.each<any>(vectors.features)("features", ({ settings, shape, rows }) => {
  it(`are Python's for ${settings.kind}, ${settings.sample_rate} Hz`, () => {
    const found = new Features(settings).compute(sound(0.6, settings.sample_rate));
    expect([found.rows, found.columns]).toEqual(shape);
    rows.forEach((row: number[], i: number) => expectClose(found.data.subarray(5 * i * found.columns, (5 * i + 1) * found.columns), row, 1e-4));
  });
});

it.each<any>(vectors.windows)("windows of $length with context $context cover $n samples as Python's do", ({ n, length, context, windows }) => {
  const samples = Float32Array.from({ length: n }, (_, i) => i);
  const cutting = new Windows(length, context);
  const found = [];
  for (let i = 0; i < n; i += 7) found.push(...cutting.push(samples.subarray(i, i + 7)));
  const last = cutting.finish();
  if (last) found.push(last);
  expect(found.map((w) => ({ ...w, samples: Array.from(w.samples) }))).toEqual(windows);
});

it("attention averages as Python's does", () => {
  const { logits, attention, lengths, span_s, found } = vectors.attended;
  const flat = (rows: number[][]) => Float32Array.from(rows.flat());
  expectClose(attended({ logits: flat(logits), attention: flat(attention), lengths: Float64Array.from(lengths), outputs: 3 }, span_s), found.flat(), 1e-5);
});

it("embeddings are of unit length, and silent steps are zeros", () => {
  const mel = { data: Float32Array.from([-13.8, -13.8, 0, 1, -13.815, -13.815]), rows: 3, columns: 2 };
  const vectors = Float32Array.from([1, 2, 3, 4, 5, 6]);
  silence(vectors, 3, mel, 1e-6);
  expect([...vectors]).toEqual([1, 2, 3, 4, 0, 0]);
  expectClose(unit(vectors, 2), [1 / Math.sqrt(5), 2 / Math.sqrt(5), 0.6, 0.8, 0, 0], 1e-6);
  expectClose(whole(vectors, 2), [4 / Math.sqrt(52), 6 / Math.sqrt(52)], 1e-6);
});

it.each<any>(vectors.top_share_mean)("the mean of the highest share of $share is Python's", ({ scores, lengths, share, found }) => {
  expect(topShareMean(Float64Array.from(scores), Float64Array.from(lengths), share)).toBeCloseTo(found, 5);
});

it.each<any>(vectors.stretches)("stretches from $threshold on are Python's", ({ scores, edges, threshold, settings, found }) => {
  const mine = stretches(Float32Array.from(scores), Float64Array.from(edges), threshold, settings);
  expectClose(mine.flatMap((s) => [s.start, s.end, s.score]), found.flat(), 1e-5);
});

it.each<any>(vectors.uncompressed)("$name is read as libsndfile reads it", async ({ file, rate, samples }) => {
  const bytes = inflateSync(Buffer.from(file, "base64"));
  const opened = (await openUncompressed(new Blob([bytes])))!;
  expect([opened.sampleRate, opened.duration]).toEqual([rate, 41 / rate]);
  for await (const { channels, sampleRate } of opened.blocks()) {
    expect([channels.length, sampleRate]).toEqual([2, rate]);
    expectClose(channels[1], samples, 2e-6);
  }
  for (const cut of [13, 30, 60, bytes.length - 30]) {
    const part = await openUncompressed(new Blob([bytes.subarray(0, cut)])).catch((error) => error);
    if (part instanceof Error) expect(part.message).toMatch(/is it damaged\?$/);
    else expect(part!.duration).toBeLessThan(41 / rate);
  }
});

it("compressed AIFF and CAF are named, and other files are left to others", async () => {
  const named = async (bytes: Uint8Array<ArrayBuffer>) => openUncompressed(new Blob([bytes])).then(String, (error) => error.message);
  const aiff = new Uint8Array(60);
  aiff.set(Buffer.from("FORM\0\0\0\0AIFCCOMM\0\0\0\x16\0\x01\0\0\0\x01\0\x10", "latin1"));
  aiff.set(Buffer.from("ima4SSND\0\0\0\x08", "latin1"), 38);
  expect(await named(aiff)).toBe("is AIFF (ima4), which browsers cannot decode; convert it to WAV or FLAC");
  expect(await openUncompressed(new Blob(["RIFF"]))).toBeNull();
});

it.each<any>(vectors.quality)("warnings about $kind of $seconds s at $rate Hz, channels times $gains, are Python's", ({ kind, seconds, rate, gains, found }) => {
  const samples = { sound, tones }[kind as "sound" | "tones"](seconds, rate);
  const channels: Float32Array[] = gains.map((gain: number) => samples.map((x) => Math.max(-1, Math.min(1, x * Math.fround(gain)))));
  const downmix = new Downmix(rate);
  for (let at = 0; at < samples.length; at += rate) downmix.mix(channels.map((channel) => channel.subarray(at, at + rate)), rate);
  expect(downmix.warnings(seconds)).toEqual(found);
});

it("resampling in several steps keeps the audible band", () => {
  expect(ratesBetween(22050, 22050)).toEqual([]);
  expect(ratesBetween(44100, 22050)).toEqual([22050]);
  expect(ratesBetween(48000, 22050)).toEqual([42000, 36750, 22050]);
  expect(ratesBetween(44056, 22050)).toEqual([22050]);
  for (const from of [8000, 11025, 16000, 24000, 32000, 96000, 192000]) {
    const rates = ratesBetween(from, 22050);
    expect(rates.at(-1)).toBe(22050);
    for (const rate of rates) expect(rate).toBeGreaterThanOrEqual(22050);
  }
});

it("samples that no sound holds are refused", () => {
  const mix = (value: number) => () => new Downmix(44100).mix([new Float32Array(10), new Float32Array(10).fill(value)], 44100);
  expect(mix(NaN)).toThrow("NaN or infinite");
  expect(mix(-Infinity)).toThrow("NaN or infinite");
  expect(mix(40000)).toThrow("as large as 4.00e+4");
});

describe("predictions of the model that ships", () => {
  let recogniser: Recogniser;
  let network: Network;

  beforeAll(async () => {
    const config = readConfig(await readFile(new URL("config.json", MODEL), "utf8"));
    expect(config.sha256["model.onnx"], "new model: run python scripts/web_vectors.py").toBe(vectors.sha256);
    network = await Network.open(await readFile(new URL("model.onnx", MODEL)), config);
    recogniser = new Recogniser(config, network);
  });

  it("come from a network that gives Python's numbers for equal features", async () => {
    const { rows, columns, logits } = vectors.network;
    const found = await network.run({ data: Float32Array.from(noise(rows * columns, 8), (x) => -7 + 5 * x), rows, columns });
    logits.forEach((row: number[], i: number) => expectClose(found.logits.subarray(8 * i * found.outputs, (8 * i + 1) * found.outputs), row, 1e-5));
  });

  it.each<any>(vectors.predictions)("are Python's for $seconds s", async ({ seconds, prediction, frame_times, frame_scores, segments, latest, embedding }) => {
    const samples = sound(seconds, recogniser.config.features.sample_rate);
    const { frame_scores: frames, frame_times: times, embedding: vector, frame_embeddings: vectors, ...found } = await recogniser.predict(samples, true);
    expectClose(vector!, embedding, TIPPED);
    expect(vectors!.length).toBe(embedding.length * (times.length - 1));
    const n = recogniser.config.labels.length;
    const repeated = seconds < recogniser.config.min_window_s; // and so is what tipped
    expectClose(Object.values(found.scores), Object.values(prediction.scores), repeated ? 2e-3 : 1e-3);
    expectClose(times.filter((_, i) => i % 16 === 0), frame_times);
    frame_scores.forEach((row: number[], i: number) => expectClose(frames.subarray(16 * i * n, (16 * i + 1) * n), row, TIPPED));
    expect({ ...found, scores: 0, segments: 0 }).toEqual({ ...prediction, scores: 0, segments: 0 });
    const mine = recogniser.segments(frames, times, recogniser.config.labels.map(({ id }) => id));
    expect(mine.map((s) => s.label)).toEqual(segments.map((s: { label: string }) => s.label));
    // A score that is all but at its threshold may cross it a step sooner or later.
    expectClose(mine.flatMap((s) => [s.start, s.end]), segments.flatMap((s: Record<string, number>) => [s.start, s.end]), STEP_S + TIPPED);
    expectClose(mine.map((s) => s.score), segments.map((s: { score: number }) => s.score), TIPPED);
    expectClose(Object.values(await recogniser.latestScores(samples, 0.5)), Object.values(latest), TIPPED);
  });

  it("say of silence that it is silence, and nothing of what it may be", async () => {
    const rate = recogniser.config.features.sample_rate;
    const [downmix, predictor] = [new Downmix(rate), new StreamPredictor(recogniser)];
    await predictor.push(downmix.mix([new Float32Array(2 * rate)], rate));
    const { warnings } = await predictor.finish("", rate, (duration) => downmix.warnings(duration));
    expect(warnings.map(({ code }) => code)).toEqual(["silent"]);
  });

  it("refuses a network that is not the configuration's", async () => {
    const content = await readFile(new URL("model.onnx", MODEL));
    content[100] ^= 1;
    await expect(Network.open(content, recogniser.config)).rejects.toThrow("checksum differs");
  });
});
