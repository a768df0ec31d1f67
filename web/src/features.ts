// Samples -> log-mel or MFCC, equal to src/whoplays/features.py. Tables are flat, time first.

import FFT from "fft.js";

import type { FeatureSettings } from "./config.js";

/** A table of numbers: `rows` times `columns`, row after row. */
export interface Table {
  data: Float32Array;
  rows: number;
  columns: number;
}

const hzToMel = (f: number, htk: boolean) =>
  htk ? 2595 * Math.log10(1 + f / 700) : f < 1000 ? (f * 3) / 200 : 15 + (Math.log(f / 1000) * 27) / Math.log(6.4);

const melToHz = (m: number, htk: boolean) =>
  htk ? 700 * (10 ** (m / 2595) - 1) : m < 15 ? (m * 200) / 3 : 1000 * Math.exp(((m - 15) * Math.log(6.4)) / 27);

interface Band {
  first: number;
  weights: Float32Array;
}

function melBands(settings: FeatureSettings): Band[] {
  const { sample_rate, n_fft, n_mels, htk } = settings;
  const low = hzToMel(settings.fmin, htk);
  const high = hzToMel(settings.fmax ?? sample_rate / 2, htk);
  const edges = Array.from({ length: n_mels + 2 }, (_, i) => melToHz(low + ((high - low) * i) / (n_mels + 1), htk));
  return Array.from({ length: n_mels }, (_, m) => {
    const [left, centre, right] = [edges[m], edges[m + 1], edges[m + 2]];
    const area = settings.norm === "slaney" ? 2 / (right - left) : 1;
    const weights: number[] = [];
    let first = 0;
    for (let bin = 0; bin <= n_fft / 2; bin++) {
      const f = (bin * sample_rate) / n_fft;
      const weight = Math.min((f - left) / (centre - left), (right - f) / (right - centre));
      if (weight <= 0) continue;
      if (!weights.length) first = bin;
      weights.push(weight * area);
    }
    return { first, weights: Float32Array.from(weights) };
  });
}

/** Computes features with one model's settings; what depends on them alone is made once. */
export class Features {
  readonly n_features: number;
  private readonly fft: FFT;
  private readonly spectrum: Float64Array;
  private readonly frame: Float64Array;
  private readonly window: Float64Array;
  private readonly bands: Band[];
  private readonly dct: Float64Array;

  constructor(private readonly settings: FeatureSettings) {
    const { n_fft, n_mels, n_mfcc, feature_type } = settings;
    this.n_features = feature_type === "logmel" ? n_mels : n_mfcc;
    this.fft = new FFT(n_fft);
    this.spectrum = new Float64Array(2 * n_fft);
    this.frame = new Float64Array(n_fft);
    this.window = new Float64Array(n_fft);
    const length = settings.win_length ?? n_fft;
    const left = Math.floor((n_fft - length) / 2);
    for (let i = 0; i < length; i++) this.window[left + i] = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / length);
    this.bands = melBands(settings);
    this.dct = new Float64Array(n_mels * n_mfcc);
    for (let n = 0; n < n_mels; n++) {
      for (let k = 0; k < n_mfcc; k++) {
        const scale = Math.sqrt((k ? 2 : 1) / n_mels);
        this.dct[n * n_mfcc + k] = scale * Math.cos((Math.PI * k * (2 * n + 1)) / (2 * n_mels));
      }
    }
  }

  /** Return the features (frames or time bins, n_features) of mono samples at the settings' rate. */
  compute(samples: Float32Array): Table {
    const mel = this.melPower(samples);
    const { settings } = this;
    if (settings.feature_type === "logmel") for (let i = 0; i < mel.data.length; i++) mel.data[i] = Math.log(mel.data[i] + settings.log_offset);
    else toDecibel(mel.data, settings.top_db);
    const pooled = settings.n_time_bins === null ? mel : averaged(mel, settings.n_time_bins);
    return settings.feature_type === "logmel" ? pooled : this.cepstrum(pooled);
  }

  private melPower(samples: Float32Array): Table {
    const { n_fft, hop_length, n_mels } = this.settings;
    const rows = 1 + Math.floor(samples.length / hop_length);
    const data = new Float32Array(rows * n_mels);
    const { frame, window, spectrum } = this;
    const power = new Float64Array(n_fft / 2 + 1);
    const padded = new Float32Array(samples.length + n_fft);
    padded.set(samples, n_fft / 2);
    for (let row = 0; row < rows; row++) {
      const first = row * hop_length;
      for (let i = 0; i < n_fft; i++) frame[i] = padded[first + i] * window[i];
      this.fft.realTransform(spectrum, frame);
      for (let bin = 0; bin <= n_fft / 2; bin++) power[bin] = spectrum[2 * bin] * spectrum[2 * bin] + spectrum[2 * bin + 1] * spectrum[2 * bin + 1];
      for (let m = 0; m < n_mels; m++) {
        const { first: bin, weights } = this.bands[m];
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += weights[i] * power[bin + i];
        data[row * n_mels + m] = sum;
      }
    }
    return { data, rows, columns: n_mels };
  }

  private cepstrum({ data, rows, columns }: Table): Table {
    const { n_mfcc } = this.settings;
    const found = new Float32Array(rows * n_mfcc);
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < n_mfcc; k++) {
        let sum = 0;
        for (let n = 0; n < columns; n++) sum += data[row * columns + n] * this.dct[n * n_mfcc + k];
        found[row * n_mfcc + k] = sum;
      }
    }
    return { data: found, rows, columns: n_mfcc };
  }
}

function toDecibel(values: Float32Array, topDb: number | null): void {
  let highest = -Infinity;
  for (let i = 0; i < values.length; i++) {
    values[i] = 10 * Math.log10(Math.max(values[i], 1e-10));
    if (values[i] > highest) highest = values[i];
  }
  if (topDb !== null) for (let i = 0; i < values.length; i++) values[i] = Math.max(values[i], highest - topDb);
}

/** Return `n_time_bins` rows, each the mean of the rows of an equal span of time. */
function averaged({ data, rows, columns }: Table, n_time_bins: number): Table {
  const found = new Float32Array(n_time_bins * columns);
  for (let i = 0; i < n_time_bins; i++) {
    const start = Math.floor((i * rows) / n_time_bins);
    const stop = Math.ceil(((i + 1) * rows) / n_time_bins);
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let row = start; row < stop; row++) sum += data[row * columns + column];
      found[i * columns + column] = sum / (stop - start);
    }
  }
  return { data: found, rows: n_time_bins, columns };
}
