// Mono samples at the model's rate -> prediction, equal to src/whoplays/inference/recogniser.py. Runs in any thread.

import { type ModelConfig, modelId } from "./config.js";
import { WhoplaysError } from "./errors.js";
import { silence, unit, whole } from "./embedding.js";
import { Features } from "./features.js";
import { joined } from "./joined.js";
import type { Found, Network } from "./network.js";
import { type QualityWarning, aboutAnswer, isSilent } from "./quality.js";
import { type Outputs, frameScores, recordingScores, roundHalfEven } from "./pooling.js";
import { playingTimes, type Stretch } from "./timeline.js";
import { type Window, Windows } from "./windows.js";

/** Seconds of sound that a recording must have. */
export const MIN_DURATION = 0.02;
const SCHEMA = 1; // src/whoplays/results/schemas/result.json

export interface Segment {
  label: string;
  /** Seconds from the start of the recording. */
  start: number;
  end: number;
  score: number;
}

/** The object of the command's JSON line, and the scores over time. */
export interface Prediction {
  path: string;
  duration: number;
  sample_rate: number;
  model: string;
  scores: Record<string, number>;
  playing: string[];
  maybe: string[];
  segments: Segment[];
  /** Why the recording, or the result, may mislead. */
  warnings: QualityWarning[];
  /** Version of the object's shape. */
  schema: number;
  /** Scores over time (steps, labels), row after row; step i holds from frame_times[i] to frame_times[i + 1] seconds. */
  frame_scores: Float32Array;
  frame_times: Float64Array;
  /** The recording's embedding (width,), of unit length, and those over time (steps, width). Present when requested. */
  embedding?: Float32Array;
  frame_embeddings?: Float32Array;
}

const rounded = (x: number, digits: number) => Math.round(x * 10 ** digits) / 10 ** digits;

/** Predicts from samples as they arrive: `push` them, then `finish`. Holds one window, and the network's numbers. */
export class StreamPredictor {
  private readonly windows: Windows;
  private readonly logits: Float32Array[] = [];
  private readonly attention: Float32Array[] = [];
  private readonly vectors: Float32Array[] = [];
  private readonly starts: number[] = [];
  private repeated: Outputs | null = null;
  private outputs = 0;
  private received = 0;

  /** embed: whether the prediction has embeddings as well. */
  constructor(private readonly recogniser: Recogniser, private readonly embed = false) {
    if (embed) recogniser.requireEmbedding();
    const { window_s, context_s, features } = recogniser.config;
    this.windows = new Windows(roundHalfEven(window_s * features.sample_rate), roundHalfEven(context_s * features.sample_rate));
  }

  /** Seconds received so far. */
  get seconds(): number {
    return this.received / this.recogniser.config.features.sample_rate;
  }

  /** Add mono samples at the model's rate. */
  async push(block: Float32Array): Promise<void> {
    this.received += block.length;
    for (const window of this.windows.push(block)) await this.run(window);
  }

  /**
   * Return the prediction for everything that was pushed. sampleRate: of the recording as it was. noticed: returns the warnings
   * for that many seconds. Throws `WhoplaysError`.
   */
  async finish(path: string, sampleRate: number, noticed: (duration: number) => QualityWarning[] = () => []): Promise<Prediction> {
    const duration = this.seconds;
    if (duration < MIN_DURATION) {
      throw new WhoplaysError("not-a-recording", "short", { seconds: duration.toFixed(3), least: MIN_DURATION });
    }
    const last = this.windows.finish();
    if (last) await this.run(last);
    const { config } = this.recogniser;
    const rate = config.features.sample_rate;
    const borders = [...this.starts, this.received];
    const lengths = Float64Array.from(this.starts, (at, i) => (borders[i + 1] - at) / rate);
    const times = Float64Array.from(borders, (at) => at / rate);
    const found: Outputs = { logits: joined(this.logits), attention: this.attention.length ? joined(this.attention) : null, lengths, outputs: this.outputs };
    const frames = frameScores(found, config);
    const prediction = this.recogniser.prediction(path, duration, sampleRate, recordingScores(this.repeated ?? found, config), frames, times);
    const inputWarnings = noticed(duration);
    prediction.warnings = isSilent(inputWarnings) ? inputWarnings : [...inputWarnings, ...prediction.warnings];
    if (!this.embed) return prediction;
    const vectors = joined(this.vectors);
    const width = vectors.length / lengths.length;
    return { ...prediction, embedding: whole(vectors, width), frame_embeddings: unit(vectors, width) };
  }

  private async run(window: Window): Promise<void> {
    const { found, starts, inside } = await this.recogniser.run(window, this.embed);
    const { steps, outputs } = found;
    this.outputs = outputs;
    const kept = (values: Float32Array) => {
      const width = values.length / steps;
      return joined(inside.map((step) => values.subarray(step * width, (step + 1) * width)));
    };
    this.logits.push(kept(found.logits));
    if (found.embedding) this.vectors.push(kept(found.embedding));
    if (found.attention) this.attention.push(kept(found.attention));
    this.starts.push(...inside.map((step) => starts[step]));
    const { min_window_s, padding, features } = this.recogniser.config;
    if (window.samples.length < roundHalfEven(min_window_s * features.sample_rate) && padding === "repeat") {
      this.repeated = { ...found, lengths: new Float64Array(steps).fill(min_window_s / steps) };
    }
  }
}

/** A model, ready to run. */
export class Recogniser {
  private readonly features: Features;

  constructor(readonly config: ModelConfig, private readonly network: Network) {
    this.features = new Features(config.features);
  }

  /** Predict from mono samples at the model's rate. */
  async predict(samples: Float32Array, embed = false): Promise<Prediction> {
    const predictor = new StreamPredictor(this, embed);
    await predictor.push(samples);
    return predictor.finish("", this.config.features.sample_rate);
  }

  /** Throws `WhoplaysError` where the model has no embedding. */
  requireEmbedding(): void {
    if (!this.network.embeddingWidth) throw new WhoplaysError("model", "noEmbedding", { model: modelId(this.config) });
  }

  /** Run one window; `inside` are the steps that it answers for, `starts` where each begins, in samples. */
  async run(window: Window, embed = false): Promise<{ found: Found; starts: number[]; inside: number[] }> {
    const samples = this.filled(window.samples);
    const table = this.features.compute(samples);
    const { features } = this.config;
    if (features.n_time_bins === null) {
      table.rows = Math.min(table.rows, Math.max(1, Math.floor(samples.length / features.hop_length)));
      table.data = table.data.subarray(0, table.rows * table.columns);
    }
    const found = await this.network.run(table, embed);
    if (found.embedding) silence(found.embedding, found.steps, table, features.log_offset);
    if (found.steps === 1) return { found, starts: [window.first], inside: [0] };
    const starts = Array.from({ length: found.steps }, (_, i) => window.start + (i * samples.length) / found.steps);
    const inside = starts.flatMap((at, i) => (at > window.first - 1 && at < window.last - 1 ? [i] : []));
    return { found, starts, inside };
  }

  /** Return the scores at the end of mono samples (at most a window), means over the last `spanS` seconds. */
  async latestScores(samples: Float32Array, spanS: number): Promise<Record<string, number>> {
    const { config } = this;
    const rate = config.features.sample_rate;
    const recent = samples.subarray(Math.max(0, samples.length - roundHalfEven(config.window_s * rate)));
    if (recent.length < MIN_DURATION * rate) return Object.fromEntries(config.labels.map((label) => [label.id, 0]));
    const { found, starts, inside } = await this.run({ samples: recent, start: 0, first: 0, last: recent.length });
    const last = inside.filter((step) => starts[step] > recent.length - spanS * rate - 1);
    const used = last.length ? last : inside.slice(-1);
    const logits = joined(used.map((step) => found.logits.subarray(step * found.outputs, (step + 1) * found.outputs)));
    const outputs = { logits, attention: null, lengths: new Float64Array(used.length).fill(1), outputs: found.outputs };
    const scores = frameScores(outputs, { ...config, timeline: { ...config.timeline, span_s: 0 } });
    const n = config.labels.length;
    const mean = (i: number) => used.reduce((sum, _, step) => sum + scores[step * n + i], 0) / used.length;
    return Object.fromEntries(config.labels.map((label, i) => [label.id, rounded(mean(i), 5)]));
  }

  /** Return when labels play that are known, or assumed, to play in the recording; sorted by start. */
  segments(frames: Float32Array, times: Float64Array, labels: readonly string[]): Segment[] {
    const { config } = this;
    const found = new Map<string, Stretch[]>();
    config.labels.forEach(({ id, parent }, i) => {
      if (!labels.includes(id)) return;
      const family = parent === null ? undefined : found.get(parent); // families come first, and an instrument plays only while its family does; -1 is below every score
      const plays = (step: number) => !family || family.some((s) => times[step] >= s.start && times[step] < s.end);
      const scores = Float32Array.from({ length: times.length - 1 }, (_, step) => (plays(step) ? frames[step * config.labels.length + i] : -1));
      found.set(id, playingTimes(scores, times, config.thresholds[i], config.timeline));
    });
    const segments = [...found].flatMap(([label, stretches]) => stretches.map((s) => (
      { label, start: rounded(s.start, 2), end: rounded(s.end, 2), score: rounded(s.score, 4) })));
    return segments.sort((a, b) => a.start - b.start);
  }

  /** Return the prediction for the scores of a recording and those over time. */
  prediction(path: string, duration: number, sampleRate: number, pooled: Float64Array, frames: Float32Array, times: Float64Array): Prediction {
    const { labels, thresholds, maybe } = this.config;
    const scores = Object.fromEntries(labels.map(({ id }, i) => [id, rounded(pooled[i], 5)]));
    const reaching = (limits: number[]) => {
      const found = labels.filter(({ id }, i) => scores[id] >= limits[i]);
      return labels.map(({ id }) => id).filter((id) => found.some((label) => label.id === id || label.parent === id));
    };
    const playing = reaching(thresholds);
    const segments = this.segments(frames, times, playing);
    return {
      path, duration: rounded(duration, 3), sample_rate: sampleRate, model: modelId(this.config), scores, playing,
      maybe: reaching(maybe).filter((id) => !playing.includes(id)),
      segments, warnings: aboutAnswer(playing, segments, rounded(duration, 3)), schema: SCHEMA, frame_scores: frames, frame_times: times,
    };
  }

  /** Fill a short recording up to what the network needs. */
  private filled(samples: Float32Array): Float32Array {
    const { min_window_s, padding, features } = this.config;
    const shortest = roundHalfEven(min_window_s * features.sample_rate);
    if (!samples.length || samples.length >= shortest) return samples;
    const filled = new Float32Array(shortest);
    const last = padding === "zeros" ? 1 : shortest;
    for (let at = 0; at < last; at += samples.length) filled.set(samples.subarray(0, shortest - at), at);
    return filled;
  }
}
