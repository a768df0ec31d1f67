// The worker: holds the model, decodes, predicts. One recording at a time; several wait for each other between blocks.

import { type Block, broken, openFile } from "./audio.js";
import { readConfig } from "./config.js";
import { WhoplaysError } from "./errors.js";
import type { Ask, Details, Options, Tell } from "./messages.js";
import { Network, hasGraphics, prepare } from "./network.js";
import { Downmix, type QualityWarning } from "./quality.js";
import { StreamPredictor, type Prediction, Recogniser } from "./recogniser.js";
import { Resampler } from "./resampler.js";

const EVERY_S = 1; // live scores
const PEAK_SAMPLES = 256;
const MOST_PEAKS = 700_000;
const MOST_STEPS = 30_000;
const LEAST_SCORE = 0.02;
const WARM_AFTER_MS = 300; // without a recording

let recogniser: Recogniser;
const stopped = new Set<number>();
const streams = new Map<number, Live>();

const tell = (call: number, message: Tell) => postMessage({ call, ...message });

async function fetched(address: string): Promise<ArrayBuffer> {
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) throw new WhoplaysError("model", "missing", { name: address.replace(/.*\//, ""), status: answer?.status ?? "-" });
  return answer.arrayBuffer();
}

async function load(ask: Ask & { kind: "load" }): Promise<Tell> {
  const webgpu = ask.webgpu && await hasGraphics() ? ask.webgpu : undefined;
  if (!webgpu) prepare(ask);
  const [text, network] = await Promise.all([ask.config, ask.network].map(fetched));
  const config = readConfig(new TextDecoder().decode(text));
  const opened = await Network.open(new Uint8Array(network), config, webgpu);
  recogniser = new Recogniser(config, opened);
  setTimeout(() => { files = files.then(warmUp).catch(() => {}); }, WARM_AFTER_MS);
  return { kind: "loaded", config, embeddingWidth: opened.embeddingWidth, device: opened.device };
}

/** The largest levels of short parts. */
class Peaks {
  private readonly found: number[] = [];
  private most = 0;
  private seen = 0;

  add(samples: Float32Array): void {
    for (let i = 0; i < samples.length; i++) {
      this.most = Math.max(this.most, Math.abs(samples[i]));
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

/** Blocks of one recording -> its prediction: downmix, resample, predict. */
class Pipeline {
  private readonly predictor: StreamPredictor;
  private readonly downmix: Downmix;
  private resampler: Resampler | null = null;
  private rate = 0;

  /** sampleRate: of the recording, as the prediction names it. peaks: gets the samples. */
  constructor(private readonly sampleRate: number, embed = false, private readonly peaks: Peaks | null = null) {
    this.predictor = new StreamPredictor(recogniser, embed);
    this.downmix = new Downmix(sampleRate);
  }

  get seconds(): number {
    return this.predictor.seconds;
  }

  /** Add a block; return its samples at the model's rate. */
  async push({ channels, sampleRate }: Block): Promise<Float32Array> {
    if (sampleRate !== this.rate) {
      await this.flush();
      this.resampler = await Resampler.open(sampleRate, recogniser.config.features.sample_rate);
      this.rate = sampleRate;
    }
    const samples = this.resampler!.push(this.downmix.mix(channels, sampleRate));
    await this.take(samples);
    return samples;
  }

  /** known: warnings from the file's header. */
  async finish(path: string, known: QualityWarning[] = []): Promise<Prediction> {
    await this.flush();
    return this.predictor.finish(path, this.sampleRate, (duration) => [...known, ...this.downmix.warnings(duration)]);
  }

  close(): void {
    this.resampler?.close();
  }

  private async flush(): Promise<void> {
    if (this.resampler) await this.take(this.resampler.finish());
    this.resampler = null;
  }

  private async take(samples: Float32Array): Promise<void> {
    this.peaks?.add(samples);
    await this.predictor.push(samples);
  }
}

interface Live {
  pipeline: Pipeline;
  sampleRate: number;
  recent: Float32Array;
  /** Seconds at the last live scores. */
  scoredAt: number;
}

/** Let messages in, a stop among them. */
const pause = () => new Promise((resolve) => setTimeout(resolve));

/** A recording to analyse; compare `Opened` of audio.ts. */
interface Source {
  sampleRate: number;
  duration: number | null;
  warnings: QualityWarning[];
  blocks(): AsyncIterable<Block>;
}

async function analyse(call: number, path: string, { sampleRate, duration, warnings, blocks }: Source, { details, embed, maxDuration }: Options): Promise<void> {
  const tooLong = () => new WhoplaysError("too-long", "long", { most: Math.round(maxDuration / 36) / 100 });
  if (duration !== null && duration > maxDuration) throw tooLong();
  const peaks = details ? new Peaks() : null;
  const pipeline = new Pipeline(sampleRate, embed, peaks);
  let reported = performance.now();
  try {
    for await (const block of blocks()) {
      await pipeline.push(block);
      if (pipeline.seconds > maxDuration) throw tooLong();
      if (performance.now() - reported < 100) continue;
      reported = performance.now();
      tell(call, { kind: "progress", analysed: pipeline.seconds, duration });
      await pause();
      if (stopped.delete(call)) throw new WhoplaysError("stopped", "stopped");
    }
  } catch (error) {
    pipeline.close();
    throw error;
  }
  const prediction = await pipeline.finish(path, warnings);
  tell(call, { kind: "result", prediction, details: peaks ? detailsOf(prediction, peaks) : null });
}

async function* cut(channels: Float32Array[], sampleRate: number): AsyncGenerator<Block> {
  for (let at = 0; at < channels[0].length; at += sampleRate) yield { channels: channels.map((channel) => channel.subarray(at, at + sampleRate)), sampleRate };
}

async function answer(call: number, ask: Ask): Promise<void> {
  if (ask.kind === "load") return tell(call, await load(ask));
  if (ask.kind === "samples") {
    const { channels, sampleRate } = ask;
    return analyse(call, "", { sampleRate, duration: channels[0].length / sampleRate, warnings: [], blocks: () => cut(channels, sampleRate) }, ask);
  }
  if (ask.kind === "predict") {
    const opened = await openFile(ask.file);
    try {
      return await analyse(call, ask.name, opened, ask);
    } finally {
      opened.close();
    }
  }
  if (ask.kind === "stream") {
    streams.set(call, { pipeline: new Pipeline(ask.sampleRate), sampleRate: ask.sampleRate, recent: new Float32Array(0), scoredAt: 0 });
    return;
  }
  if (ask.kind === "block") return live(ask.stream, ask.samples);
  if (ask.kind === "finish") {
    const session = streams.get(ask.stream);
    streams.delete(ask.stream);
    if (session) tell(call, { kind: "result", prediction: await session.pipeline.finish("live"), details: null });
  }
}

async function live(stream: number, samples: Float32Array): Promise<void> {
  const session = streams.get(stream);
  if (!session) return;
  const added = await session.pipeline.push({ channels: [samples], sampleRate: session.sampleRate });
  const { window_s, features } = recogniser.config;
  const both = new Float32Array(session.recent.length + added.length);
  both.set(session.recent);
  both.set(added, session.recent.length);
  session.recent = both.subarray(Math.max(0, both.length - Math.round(window_s * features.sample_rate)));
  const { seconds } = session.pipeline;
  if (seconds - session.scoredAt < EVERY_S) return;
  const scores = await recogniser.latestScores(session.recent, seconds - session.scoredAt);
  session.scoredAt = seconds;
  tell(stream, { kind: "scores", scores, at: seconds });
}

let [files, sounds] = [Promise.resolve(), Promise.resolve()]; // live sound does not wait for a file
let requests = 0;

/** Predict silence while there is no request: a browser compiles code on its first run, and the first answer need not wait for that. */
async function warmUp(): Promise<void> {
  if (requests === 1) await recogniser.predict(new Float32Array(recogniser.config.features.sample_rate));
}

addEventListener("message", ({ data }: MessageEvent<Ask & { call: number }>) => {
  requests++;
  if (data.kind === "stop") {
    stopped.add(data.call);
    const session = streams.get(data.call);
    if (session) sounds = sounds.then(() => session.pipeline.close());
    streams.delete(data.call);
    return;
  }
  const act = async () => {
    try {
      if (stopped.delete(data.call)) throw new WhoplaysError("stopped", "stopped");
      await answer(data.call, data);
    } catch (error) {
      const { code, reason, values } = error instanceof WhoplaysError ? error : broken(error);
      const call = data.kind === "block" ? data.stream : data.call;
      if (data.kind === "block") streams.delete(call);
      tell(call, { kind: "failed", code, reason, values });
    }
  };
  if (["stream", "block", "finish"].includes(data.kind)) sounds = sounds.then(act);
  else files = files.then(act);
});
