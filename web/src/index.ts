/**
 * Detects which instruments play in a recording, and when. Everything happens in a Web Worker of the page.
 *
 * @example
 * const recogniser = await load();
 * const prediction = await recogniser.predict(file);
 * prediction.playing; // ["guitar", "drums"]
 */

import { type Label, type ModelConfig, WhoplaysError, modelId } from "./config.js";
import type { Ask, Details, Tell } from "./messages.js";
import type { Prediction, Segment } from "./recogniser.js";

export { type Details, type Label, type Prediction, type Segment, WhoplaysError };

/** model: address of a model folder (default: the one in the package). threads: of isolated pages alone. */
export interface LoadOptions {
  model?: string | URL;
  threads?: number;
}

/** sampleRate: of samples, Hz. details: whether the answer has what pictures need. signal: stops. */
export interface PredictOptions {
  sampleRate?: number;
  details?: boolean;
  signal?: AbortSignal;
  /** heard: seconds so far. duration: of the recording, null where it does not tell. */
  onProgress?: (told: { heard: number; duration: number | null }) => void;
}

/** Sound as it comes: mono blocks in, scores out about once a second, the prediction of all of it at the end. */
export interface Stream {
  push(samples: Float32Array): void;
  finish(): Promise<Prediction>;
  close(): void;
}

type Answer = (message: Tell) => void;

/** A model in a worker of its own. Calls are answered one after the other. */
export class Recogniser {
  private calls = 0;
  private readonly waiting = new Map<number, Answer>();

  private constructor(private readonly worker: Worker, readonly config: ModelConfig) {}

  /** @internal */
  static async open({ model = new URL("./model/", import.meta.url), threads }: LoadOptions): Promise<Recogniser> {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    const found = new Recogniser(worker, undefined as unknown as ModelConfig);
    worker.addEventListener("message", ({ data }: MessageEvent<Tell & { call: number }>) => found.waiting.get(data.call)?.(data));
    worker.addEventListener("error", (event) => {
      for (const one of found.waiting.values()) one({ kind: "failed", code: "model", message: `the worker cannot run (${event.message ?? "it was not found"})` });
    });
    const isolated = globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
    const folder = new URL(String(model).replace(/\/?$/, "/"), location.href).href;
    const wasm = new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href;
    try {
      const answer = await found.ask({ kind: "load", model: folder, wasm, threads: Math.min(threads ?? isolated, isolated) });
      return Object.assign(found, { config: (answer as Tell & { kind: "loaded" }).config });
    } catch (error) {
      worker.terminate();
      throw error;
    }
  }

  /** name@version of the model. */
  get model(): string {
    return modelId(this.config);
  }

  /** What can be detected, in the model's order; thresholds: from which score on each plays, and may play. */
  get labels(): (Label & { threshold: number; maybe: number })[] {
    return this.config.labels.map((label, i) => ({ ...label, threshold: this.config.thresholds[i], maybe: this.config.maybe[i] }));
  }

  /**
   * Detect the instruments of one recording.
   * @param source a file, or samples from -1 to 1 with their `sampleRate`: one channel, or an array of channels.
   * @throws {WhoplaysError} code "not-a-recording", "stopped" or "usage"; its message is for people.
   */
  async predict(source: Blob | Float32Array | Float32Array[], options: PredictOptions = {}): Promise<Prediction & { details?: Details }> {
    const { details = false, sampleRate, signal, onProgress } = options;
    const ask: Ask = source instanceof Blob
      ? { kind: "predict", file: source, name: source instanceof File ? source.name : "", details }
      : { kind: "samples", channels: Array.isArray(source) ? source : [source], sampleRate: rateOf(sampleRate), details };
    const answer = await this.ask(ask, (message) => message.kind === "progress" && onProgress?.(message), signal);
    const { prediction, details: found } = answer as Tell & { kind: "result" };
    return found ? { ...prediction, details: found } : prediction;
  }

  /** Predict sound as it comes, mono at `sampleRate` Hz. onScores: what plays now; at: seconds since the beginning. */
  stream(sampleRate: number, onScores: (scores: Record<string, number>, at: number) => void = () => {}): Stream {
    const stream = this.send({ kind: "stream", sampleRate: rateOf(sampleRate) }, (message) => message.kind === "scores" && onScores(message.scores, message.at));
    const end = () => this.waiting.delete(stream);
    return {
      push: (samples) => void this.worker.postMessage({ kind: "block", stream, samples, call: -1 }),
      finish: async () => ((await this.ask({ kind: "finish", stream }).finally(end)) as Tell & { kind: "result" }).prediction,
      close: () => { end(); this.worker.postMessage({ kind: "stop", call: stream }); },
    };
  }

  /** End the worker. */
  close(): void {
    this.worker.terminate();
  }

  private send(ask: Ask, answer: Answer): number {
    const call = ++this.calls;
    this.waiting.set(call, answer);
    this.worker.postMessage({ ...ask, call });
    return call;
  }

  private ask(ask: Ask, watch: Answer = () => {}, signal?: AbortSignal): Promise<Tell> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new WhoplaysError("stopped", "was stopped"));
      const call = this.send(ask, (message) => {
        watch(message);
        if (message.kind === "progress" || message.kind === "scores") return;
        this.waiting.delete(call);
        signal?.removeEventListener("abort", stop);
        if (message.kind === "failed") reject(new WhoplaysError(message.code as WhoplaysError["code"], message.message));
        else resolve(message);
      });
      const stop = () => this.worker.postMessage({ kind: "stop", call });
      signal?.addEventListener("abort", stop);
    });
  }
}

function rateOf(sampleRate: number | undefined): number {
  if (sampleRate !== undefined && sampleRate >= 1000 && sampleRate <= 768_000) return sampleRate;
  throw new WhoplaysError("usage", `sampleRate is ${sampleRate}; samples need one from 1000 to 768000 Hz`);
}

/** Load a model. Throws `WhoplaysError` with code "model". */
export const load = (options: LoadOptions = {}): Promise<Recogniser> => Recogniser.open(options);
