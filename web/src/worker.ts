// The worker: holds the model, decodes, predicts. One recording at a time; several wait for each other between blocks.

import type { Block, Resampler } from "./audio.js";
import { type ModelConfig, readConfig } from "./config.js";
import { WhoplaysError } from "./errors.js";
import type { Ask, Details, Tell } from "./messages.js";
import { Network } from "./network.js";
import { Listening, type Prediction, Recogniser } from "./recogniser.js";

const EVERY_S = 1; // live scores
const PEAK_SAMPLES = 256;
const MOST_PEAKS = 700_000;
const MOST_STEPS = 30_000;
const LEAST_SCORE = 0.02;

let recogniser: Recogniser;
const stopped = new Set<number>();
const streams = new Map<number, Live>();

/** What decodes and resamples is large: it is fetched while the model is. */
const audio = import("./audio.js");

const tell = (call: number, message: Tell) => postMessage({ call, ...message });

async function fetched(address: string): Promise<ArrayBuffer> {
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) throw new WhoplaysError("model", "missing", { name: address.replace(/.*\//, ""), status: answer?.status ?? "-" });
  return answer.arrayBuffer();
}

async function load({ model, wasm, threads }: Ask & { kind: "load" }): Promise<ModelConfig> {
  const [text, network] = await Promise.all(["config.json", "model.onnx"].map((name) => fetched(new URL(name, model).href)));
  const config = readConfig(new TextDecoder().decode(text));
  recogniser = new Recogniser(config, await Network.open(new Uint8Array(network), config, { wasm, threads }));
  return config;
}

/** The largest levels of short parts. */
class Peaks {
  private readonly found: number[] = [];
  private most = 0;
  private seen = 0;

  add(samples: Float32Array): void {
    for (const sample of samples) {
      this.most = Math.max(this.most, Math.abs(sample));
      if (++this.seen < PEAK_SAMPLES) continue;
      this.found.push(this.most);
      [this.most, this.seen] = [0, 0];
    }
  }

  bytes(): Uint8Array {
    const all = this.seen ? [...this.found, this.most] : this.found;
    const parts = Math.min(MOST_PEAKS, all.length);
    return Uint8Array.from({ length: parts }, (_, i) => {
      let most = 0;
      for (let at = Math.floor((i * all.length) / parts); at < Math.floor(((i + 1) * all.length) / parts); at++) most = Math.max(most, all[at]);
      return Math.round(255 * Math.min(1, most));
    });
  }
}

function detailsOf(prediction: Prediction, peaks: Peaks): Details {
  const { frame_times, scores, playing } = prediction;
  const ids = Object.keys(scores);
  const [start, end] = [frame_times[0], frame_times[frame_times.length - 1]];
  const steps = Math.min(MOST_STEPS, frame_times.length - 1);
  const frame_scores = Object.fromEntries(ids.map((id) => [id, new Uint8Array(steps)]));
  let at = 0;
  for (let i = 0; i < steps; i++) {
    const middle = start + ((i + 0.5) * (end - start)) / steps;
    while (at < frame_times.length - 2 && frame_times[at + 1] <= middle) at++;
    ids.forEach((id, column) => { frame_scores[id][i] = Math.round(255 * prediction.frame_scores[at * ids.length + column]); });
  }
  const possible = ids.filter((id) => scores[id] >= LEAST_SCORE || playing.includes(id));
  return { start, end, peaks: peaks.bytes(), frame_scores, segments: recogniser.segments(prediction.frame_scores, frame_times, possible) };
}

/** One recording on its way through. */
class Hearing {
  readonly peaks = new Peaks();
  private readonly listening: Listening;
  private resampler: Resampler | null = null;
  private rate = 0;

  /** sampleRate: of the recording, as the prediction names it. */
  constructor(private readonly sampleRate: number, embed = false) {
    this.listening = new Listening(recogniser, embed);
  }

  get seconds(): number {
    return this.listening.seconds;
  }

  /** Take in a block; return its samples at the model's rate. */
  async push({ channels, sampleRate }: Block): Promise<Float32Array> {
    if (sampleRate !== this.rate) {
      await this.flush();
      this.resampler = await (await audio).Resampler.open(sampleRate, recogniser.config.features.sample_rate);
      this.rate = sampleRate;
    }
    const samples = this.resampler!.push((await audio).mono(channels));
    await this.take(samples);
    return samples;
  }

  async finish(path: string): Promise<Prediction> {
    await this.flush();
    return this.listening.finish(path, this.sampleRate);
  }

  close(): void {
    this.resampler?.close();
  }

  private async flush(): Promise<void> {
    if (this.resampler) await this.take(this.resampler.finish());
    this.resampler = null;
  }

  private async take(samples: Float32Array): Promise<void> {
    this.peaks.add(samples);
    await this.listening.push(samples);
  }
}

interface Live {
  hearing: Hearing;
  sampleRate: number;
  recent: Float32Array;
  told: number;
}

/** Let messages in, a stop among them. */
const pause = () => new Promise((resolve) => setTimeout(resolve));

async function hear(call: number, path: string, sampleRate: number, duration: number | null, blocks: AsyncIterable<Block>, { details, embed, maxDuration }: { details: boolean; embed: boolean; maxDuration: number }): Promise<void> {
  const tooLong = () => new WhoplaysError("too-long", "long", { most: Math.round(maxDuration / 36) / 100 });
  if (duration !== null && duration > maxDuration) throw tooLong();
  const hearing = new Hearing(sampleRate, embed);
  let told = 0;
  try {
    for await (const block of blocks) {
      await hearing.push(block);
      if (hearing.seconds > maxDuration) throw tooLong();
      if (performance.now() - told < 100) continue;
      told = performance.now();
      tell(call, { kind: "progress", analysed: hearing.seconds, duration });
      await pause();
      if (stopped.delete(call)) throw new WhoplaysError("stopped", "stopped");
    }
  } catch (error) {
    hearing.close();
    throw error;
  }
  const prediction = await hearing.finish(path);
  tell(call, { kind: "result", prediction, details: details ? detailsOf(prediction, hearing.peaks) : null });
}

async function* cut(channels: Float32Array[], sampleRate: number): AsyncGenerator<Block> {
  for (let at = 0; at < channels[0].length; at += sampleRate) yield { channels: channels.map((channel) => channel.subarray(at, at + sampleRate)), sampleRate };
}

async function answer(call: number, ask: Ask): Promise<void> {
  if (ask.kind === "load") return tell(call, { kind: "loaded", config: await load(ask) });
  if (ask.kind === "samples") return hear(call, "", ask.sampleRate, ask.channels[0].length / ask.sampleRate, cut(ask.channels, ask.sampleRate), ask);
  if (ask.kind === "predict") {
    const opened = await (await audio).openFile(ask.file);
    try {
      return await hear(call, ask.name, opened.sampleRate, opened.duration, opened.blocks(), ask);
    } finally {
      opened.close();
    }
  }
  if (ask.kind === "stream") {
    streams.set(call, { hearing: new Hearing(ask.sampleRate), sampleRate: ask.sampleRate, recent: new Float32Array(0), told: 0 });
    return;
  }
  if (ask.kind === "block") return live(ask.stream, ask.samples);
  if (ask.kind === "finish") {
    const session = streams.get(ask.stream);
    streams.delete(ask.stream);
    if (session) tell(call, { kind: "result", prediction: await session.hearing.finish("live"), details: null });
  }
}

async function live(stream: number, samples: Float32Array): Promise<void> {
  const session = streams.get(stream);
  if (!session) return;
  const came = await session.hearing.push({ channels: [samples], sampleRate: session.sampleRate });
  const { window_s, features } = recogniser.config;
  const both = new Float32Array(session.recent.length + came.length);
  both.set(session.recent);
  both.set(came, session.recent.length);
  session.recent = both.subarray(Math.max(0, both.length - Math.round(window_s * features.sample_rate)));
  const { seconds } = session.hearing;
  if (seconds - session.told < EVERY_S) return;
  const scores = await recogniser.latestScores(session.recent, seconds - session.told);
  session.told = seconds;
  tell(stream, { kind: "scores", scores, at: seconds });
}

let [files, sounds] = [Promise.resolve(), Promise.resolve()]; // live sound does not wait for a file

addEventListener("message", ({ data }: MessageEvent<Ask & { call: number }>) => {
  if (data.kind === "stop") {
    stopped.add(data.call);
    const session = streams.get(data.call);
    if (session) sounds = sounds.then(() => session.hearing.close());
    streams.delete(data.call);
    return;
  }
  const act = async () => {
    try {
      if (stopped.delete(data.call)) throw new WhoplaysError("stopped", "stopped");
      await answer(data.call, data);
    } catch (error) {
      const { code, reason, values } = error instanceof WhoplaysError ? error : (await audio).broken(error);
      const call = data.kind === "block" ? data.stream : data.call;
      if (data.kind === "block") streams.delete(call);
      tell(call, { kind: "failed", code, reason, values });
    }
  };
  if (["stream", "block", "finish"].includes(data.kind)) sounds = sounds.then(act);
  else files = files.then(act);
});
