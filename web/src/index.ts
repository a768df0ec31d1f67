/**
 * Detects which instruments play in a recording, and when. Everything happens in a Web Worker of the page.
 *
 * @example
 * const recogniser = await load();
 * const prediction = await recogniser.predict(file);
 * prediction.playing; // ["guitar", "drums"]
 */

import { version } from "../package.json";
import { type Label, type ModelConfig, modelId } from "./config.js";
import { type Language, WhoplaysError } from "./errors.js";
import type { Ask, Details, Tell } from "./messages.js";
import type { Device } from "./network.js";
import type { QualityWarning } from "./quality.js";
import type { Prediction, Segment } from "./recogniser.js";

export { type Details, type Device, type Label, type Language, type Prediction, type QualityWarning, type Segment, WhoplaysError, version };

/** model: address of a model folder (default: the one in the package). threads: of isolated pages alone. */
export interface LoadOptions {
  model?: string | URL;
  threads?: number;
  /**
   * Address of the folder `dist/` of the npm package onnxruntime-web, from which ONNX Runtime with WebGPU is fetched (27 MB): the network
   * runs on the graphics processor where there is one. `Recogniser.device` says which was chosen. It does not speed up an INT8 model: try it with a
   * floating-point one.
   */
  webgpu?: string | URL;
}

/** sampleRate: of samples, Hz. details: whether the answer has what pictures need. signal: stops. maxDuration: seconds; longer is refused. */
export interface PredictOptions {
  sampleRate?: number;
  details?: boolean;
  signal?: AbortSignal;
  maxDuration?: number;
  /** Whether the prediction has embeddings as well. */
  embed?: boolean;
  /** analysed: seconds so far. duration: of the recording, null where it is unknown. */
  onProgress?: (progress: { analysed: number; duration: number | null }) => void;
}

/** Live sound: mono blocks in, scores out about once a second, the prediction of all of it at the end. */
export interface Stream {
  /** Add a block; throws `WhoplaysError` after `finish` or `close`. */
  push(samples: Float32Array): void;
  /** Return the prediction of everything; rejects with what went wrong on the way. */
  finish(): Promise<Prediction>;
  close(): void;
}

type Answer = (message: Tell) => void;

/** A model in a worker of its own. Calls are answered one after the other. */
export class Recogniser {
  private calls = 0;
  private readonly waiting = new Map<number, Answer>();

  /** The model's config.json. */
  declare readonly config: ModelConfig;
  /** Values of an embedding; 0 where the model has none. */
  declare readonly embeddingWidth: number;
  /** What computes: "wasm", or "webgpu" if it was requested and there is a graphics processor. */
  declare readonly device: Device;

  private constructor(private readonly worker: Worker) {}

  /** @internal */
  static async open({ model, threads, webgpu }: LoadOptions): Promise<Recogniser> {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    const found = new Recogniser(worker);
    worker.addEventListener("message", ({ data }: MessageEvent<Tell & { call: number }>) => found.waiting.get(data.call)?.(data));
    worker.addEventListener("error", (event) => {
      found.fail(new WhoplaysError("model", "worker", { why: event.message ?? "404" }));
    });
    const isolated = globalThis.crossOriginIsolated ? Math.max(1, Math.min(4, Math.floor((navigator.hardwareConcurrency || 1) / 2))) : 1; // others decode
    const of = (name: string) => new URL(name, new URL(String(model).replace(/\/?$/, "/"), location.href));
    // Each file by its name: bundlers look for these words, and copy what they name.
    const files = {
      config: (model ? of("config.json") : new URL("./model/config.json", import.meta.url)).href,
      network: (model ? of("model.onnx") : new URL("./model/model.onnx", import.meta.url)).href,
      wasm: new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href,
      webgpu: webgpu && new URL(String(webgpu).replace(/\/?$/, "/"), location.href).href,
    };
    try {
      const answer = await found.ask({ kind: "load", ...files, threads: Math.min(threads ?? isolated, isolated) });
      const { config, embeddingWidth, device } = answer as Tell & { kind: "loaded" };
      return Object.assign(found, { config, embeddingWidth, device });
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
    const { details = false, sampleRate, signal, maxDuration = Infinity, embed = false, onProgress } = options;
    const ask: Ask = source instanceof Blob
      ? { kind: "predict", file: source, name: source instanceof File ? source.name : "", details, embed, maxDuration }
      : { kind: "samples", channels: Array.isArray(source) ? source : [source], sampleRate: rateOf(sampleRate), details, embed, maxDuration };
    const answer = await this.ask(ask, (message) => message.kind === "progress" && onProgress?.(message), signal);
    const { prediction, details: found } = answer as Tell & { kind: "result" };
    return found ? { ...prediction, details: found } : prediction;
  }

  /**
   * Return a vector (width,) that describes how a recording sounds. It has length 1: the scalar product of two recordings' vectors is
   * their cosine similarity. Zeros for silence, and for samples that are NaN or infinite: those are similar to nothing. Arguments as of
   * `predict`; only vectors of one model can be compared.
   */
  async embed(source: Blob | Float32Array | Float32Array[], options: PredictOptions = {}): Promise<Float32Array> {
    try {
      return (await this.predict(source, { ...options, embed: true })).embedding!;
    } catch (error) {
      if (error instanceof WhoplaysError && error.reason === "notFinite") return new Float32Array(this.embeddingWidth);
      throw error;
    }
  }

  /**
   * Predict sound as it comes, mono at `sampleRate` Hz.
   * @param onScores what plays now; at: seconds since the beginning.
   * @param onError called once where a block cannot be used; the stream has ended then.
   */
  stream(sampleRate: number, onScores: (scores: Record<string, number>, at: number) => void = () => {}, onError: (error: WhoplaysError) => void = () => {}): Stream {
    let trouble: WhoplaysError | null = null;
    let reject = onError;
    const stream = this.send({ kind: "stream", sampleRate: rateOf(sampleRate) }, (message) => {
      if (message.kind === "scores") onScores(message.scores, message.at);
      if (message.kind !== "failed") return;
      end(errorOf(message));
      reject(trouble!);
    });
    const end = (why: WhoplaysError) => {
      trouble ??= why;
      this.waiting.delete(stream);
    };
    const over = () => new WhoplaysError("usage", "ended");
    return {
      push: (samples) => {
        if (trouble?.reason === "ended") throw trouble;
        if (!(samples instanceof Float32Array)) throw new WhoplaysError("usage", "blocks");
        if (!trouble) this.worker.postMessage({ kind: "block", stream, samples, call: -1 });
      },
      finish: async () => {
        if (trouble) throw trouble;
        const watched = new Promise<never>((_, failed) => { reject = failed; });
        const answer = await Promise.race([this.ask({ kind: "finish", stream }), watched]).finally(() => end(over()));
        return (answer as Tell & { kind: "result" }).prediction;
      },
      close: () => {
        end(over());
        this.worker.postMessage({ kind: "stop", call: stream });
      },
    };
  }

  /** End the worker; what still waits for it is rejected. */
  close(): void {
    this.worker.terminate();
    this.fail(new WhoplaysError("stopped", "closed"));
  }

  private fail({ code, reason, values }: WhoplaysError): void {
    for (const answer of [...this.waiting.values()]) answer({ kind: "failed", code, reason, values });
    this.waiting.clear();
  }

  private send(ask: Ask, answer: Answer): number {
    const call = ++this.calls;
    this.waiting.set(call, answer);
    this.worker.postMessage({ ...ask, call });
    return call;
  }

  private ask(ask: Ask, watch: Answer = () => {}, signal?: AbortSignal): Promise<Tell> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new WhoplaysError("stopped", "stopped"));
      const call = this.send(ask, (message) => {
        watch(message);
        if (message.kind === "progress" || message.kind === "scores") return;
        this.waiting.delete(call);
        signal?.removeEventListener("abort", stop);
        if (message.kind === "failed") reject(errorOf(message));
        else resolve(message);
      });
      const stop = () => this.worker.postMessage({ kind: "stop", call });
      signal?.addEventListener("abort", stop);
    });
  }
}

const errorOf = ({ code, reason, values }: Tell & { kind: "failed" }) => new WhoplaysError(code, reason, values);

const [LEAST_RATE, MOST_RATE] = [1000, 768_000]; // Hz

function rateOf(sampleRate: number | undefined): number {
  if (sampleRate !== undefined && sampleRate >= LEAST_RATE && sampleRate <= MOST_RATE) return sampleRate;
  throw new WhoplaysError("usage", "rate", { rate: String(sampleRate), least: LEAST_RATE, most: MOST_RATE });
}

/** Load a model. Throws `WhoplaysError` with code "model". */
export const load = (options: LoadOptions = {}): Promise<Recogniser> => Recogniser.open(options);
