// The model folder's config.json, as the Python package writes it (src/whoplays/model/folder.py).

import { WhoplaysError } from "./errors.js";

/** Something that can be detected. parent: the family of an instrument, null for a family. colour: "#rrggbb". */
export interface Label {
  id: string;
  parent: string | null;
  en: string;
  pl: string;
  colour: string;
}

/** What turns samples into the network's input; see FeatureSettings in Python. */
export interface FeatureSettings {
  feature_type: "logmel" | "mfcc";
  sample_rate: number;
  n_fft: number;
  hop_length: number;
  win_length: number | null;
  n_mels: number;
  fmin: number;
  fmax: number | null;
  htk: boolean;
  norm: "slaney" | null;
  log_offset: number;
  n_mfcc: number;
  top_db: number | null;
  n_time_bins: number | null;
}

export interface Calibration {
  scale: number[];
  bias: number[];
}

export interface Pooling extends Calibration {
  share: number;
  span_s: number;
  correction?: number[][];
}

export interface TimelineSettings {
  span_s: number;
  threshold: number | null;
  low: number;
  max_gap_s: number;
  min_length_s: number;
}

export interface ModelConfig {
  format: number;
  name: string;
  version: string;
  labels: Label[];
  activation: "sigmoid" | "softmax";
  features: FeatureSettings;
  window_s: number;
  min_window_s: number;
  padding: "zeros" | "repeat";
  context_s: number;
  pooling: Pooling;
  thresholds: number[];
  maybe: number[];
  calibration: Calibration;
  frame_calibration: Calibration;
  timeline: TimelineSettings;
  sha256: Record<string, string>;
}

const FORMAT = 2;
const TIMELINE: TimelineSettings = { span_s: 0, threshold: null, low: 0.6, max_gap_s: 0.8, min_length_s: 0.5 };

/** Read config.json. Throws `WhoplaysError` for another format or for settings that cannot be computed here. */
export function readConfig(text: string): ModelConfig {
  let config: ModelConfig;
  try {
    config = JSON.parse(text);
  } catch {
    throw new WhoplaysError("model", "notJson");
  }
  if (config?.format !== FORMAT) {
    throw new WhoplaysError("model", "modelFormat", { found: String(config?.format), known: FORMAT });
  }
  const { n_fft } = config.features;
  if (!Number.isInteger(Math.log2(n_fft))) {
    throw new WhoplaysError("model", "transform", { size: n_fft });
  }
  const timeline = { ...TIMELINE, ...config.timeline };
  const maybe = config.thresholds.map((limit, i) => Math.min(limit, config.maybe?.[i] ?? limit));
  return { ...config, timeline, maybe, frame_calibration: config.frame_calibration ?? config.calibration };
}

/** name@version, as predictions name the model. */
export const modelId = (config: ModelConfig): string => `${config.name}@${config.version}`;
