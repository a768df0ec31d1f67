// What the page's thread and the worker say to each other.

import type { ModelConfig } from "./config.js";
import type { Code, Values } from "./errors.js";
import type { Device } from "./network.js";
import type { Prediction, Segment } from "./recogniser.js";

/** What a picture of a recording needs; see the page's recogniser.js. Bytes stand for 0 to 1. */
export interface Details {
  start: number;
  end: number;
  peaks: Uint8Array;
  frame_scores: Record<string, Uint8Array>;
  segments: Segment[];
}

/** Of a prediction; see `PredictOptions`. */
export interface Options {
  details: boolean;
  embed: boolean;
  maxDuration: number;
}

export type Ask =
  | { kind: "load"; config: string; network: string; wasm: string; threads: number; webgpu?: string }
  | ({ kind: "predict"; file: Blob; name: string } & Options)
  | ({ kind: "samples"; channels: Float32Array[]; sampleRate: number } & Options)
  | { kind: "stream"; sampleRate: number }
  | { kind: "block"; stream: number; samples: Float32Array }
  | { kind: "finish"; stream: number }
  | { kind: "stop"; call: number };

export type Tell =
  | { kind: "loaded"; config: ModelConfig; embeddingWidth: number; device: Device }
  | { kind: "progress"; analysed: number; duration: number | null }
  | { kind: "scores"; scores: Record<string, number>; at: number }
  | { kind: "result"; prediction: Prediction; details: Details | null }
  | { kind: "failed"; code: Code; reason: string; values: Values };
