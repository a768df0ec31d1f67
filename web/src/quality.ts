// What in a recording could mislead: measured while it streams by, reported in the words of src/whoplays/audio/quality.py.

import FFT from "fft.js";

import { warning as catalogue } from "../../src/whoplays/taxonomy/messages.json";
import { type Values, WhoplaysError, filled } from "./errors.js";

/** One thing to know before trusting the scores. code: for programs. Both texts are English, as in the command's JSON line. */
export interface QualityWarning {
  code: string;
  message: string;
  advice: string;
}

const MAX_LEVEL = 1e4;
const CLIPPED_LEVEL = 1 - 1.5 / 32768; // the last step of 16 bits and beyond
const CLIPPED_RUN = 3; // samples in a row at that level
const CLIPPED_SHARE = 1e-3; // of all samples
const QUIET_PEAK = 0.005;
const SILENT_PEAK = 1e-5;
const LOW_RATE = 8000; // Hz
const SHORT_S = 1;
const CANCELLED = 0.01; // of the channels' power is left in their mean
const CLIFF = 10 ** 4.5; // between the power below and above an inner cut-off
const UNDETECTED_SHARE = 0.8;
const USUAL_RATES = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 37800, 44056, 44100, 47250, 48000, 50000, 50400, 64000, 88200, 96000,
  176400, 192000, 352800, 384000, 705600, 768000];
const FORMER_RATES = [8000, 11025, 12000, 16000];
const N_FFT = 4096;

function warningOf(key: string, values: Values = {}): QualityWarning {
  return { code: key.split(".")[0], message: filled(catalogue[key], values, "en"), advice: filled(catalogue[`${key}.advice`], values, "en") };
}

/** The Blackman window, whose side lobes lie below the cut-off to detect. */
const WINDOW = Float64Array.from({ length: N_FFT }, (_, i) => {
  const turn = (2 * Math.PI * i) / (N_FFT - 1);
  return 0.42 - 0.5 * Math.cos(turn) + 0.08 * Math.cos(2 * turn);
});

/** Brings blocks of one recording to one channel, their mean, or a single one where they cancel each other; measures on the way. */
export class Downmix {
  private channels = 0;
  private kept: number | null = null; // the channel used last: changing it would invert the sound
  private samples = 0; // of all channels
  private clipped = 0;
  private peak = 0;
  private power: number[] = []; // of each channel
  private readonly spectrum = new Float64Array(N_FFT / 2 + 1);
  private fft: FFT | null = null;
  private cancelledSeconds = 0;

  /** sampleRate: that the recording begins with, Hz. */
  constructor(private readonly sampleRate: number) {}

  /** Return samples of channels as one. Throws `WhoplaysError` for what no sound holds. */
  mix(channels: Float32Array[], sampleRate: number): Float32Array {
    const length = channels[0].length;
    const powers = channels.map((channel, i) => this.measure(channel, i));
    this.channels = Math.max(this.channels, channels.length);
    let mixed = channels[0];
    let left = powers[0];
    if (channels.length > 1) {
      mixed = channels[0].slice();
      for (const channel of channels.slice(1)) for (let i = 0; i < length; i++) mixed[i] += channel[i];
      left = 0;
      for (let i = 0; i < length; i++) {
        const sample = mixed[i] / channels.length;
        mixed[i] = sample;
        left += sample * sample;
      }
    }
    if (length >= N_FFT && sampleRate === this.sampleRate) this.addSpectrum(mixed.subarray((length - N_FFT) >> 1));
    if (channels.length === 1 || left >= (CANCELLED * sum(powers)) / channels.length) return mixed;
    this.cancelledSeconds += length / sampleRate;
    return channels[this.loudest(powers)];
  }

  /** Return what was found in `duration` seconds, the gravest first. */
  warnings(duration: number): QualityWarning[] {
    const short = duration < SHORT_S ? warningOf("short", { length: duration.toFixed(2), least: SHORT_S }) : null;
    return [this.level(), this.clipping(), this.layout(), this.rate(), this.innerCutOff(), short].filter((one) => one !== null);
  }

  /** Take in a channel's samples; return the sum of their squares. */
  private measure(channel: Float32Array, number: number): number {
    let [power, peak] = [0, 0];
    for (let i = 0; i < channel.length; i++) {
      const level = Math.abs(channel[i]);
      power += level * level;
      if (!(level <= peak)) peak = level; // NaN as well
    }
    if (!Number.isFinite(peak)) throw new WhoplaysError("not-a-recording", "notFinite");
    if (peak > MAX_LEVEL) throw new WhoplaysError("not-a-recording", "loud", { level: peak.toPrecision(3) });
    if (peak >= CLIPPED_LEVEL) this.clipped += inRuns(channel);
    this.samples += channel.length;
    this.peak = Math.max(this.peak, peak);
    this.power[number] = (this.power[number] ?? 0) + power;
    return power;
  }

  private loudest(powers: number[]): number {
    const highest = Math.max(...powers);
    if (this.kept === null || this.kept >= powers.length || powers[this.kept] < 0.1 * highest) this.kept = powers.findIndex((power) => power > 0.5 * highest);
    return Math.max(0, this.kept);
  }

  private addSpectrum(samples: Float32Array): void {
    this.fft ??= new FFT(N_FFT);
    const found = new Float64Array(2 * N_FFT);
    this.fft.realTransform(found, WINDOW.map((weight, i) => weight * samples[i]));
    for (let bin = 0; bin < this.spectrum.length; bin++) this.spectrum[bin] += found[2 * bin] * found[2 * bin] + found[2 * bin + 1] * found[2 * bin + 1];
  }

  private level(): QualityWarning | null {
    if (this.peak < SILENT_PEAK) return warningOf("silent");
    return this.peak < QUIET_PEAK ? warningOf("quiet", { level: (20 * Math.log10(this.peak)).toFixed(0) }) : null;
  }

  private clipping(): QualityWarning | null {
    const share = this.clipped / Math.max(this.samples, 1);
    return share < CLIPPED_SHARE ? null : warningOf("clipped", { share: percent(share, 1) });
  }

  private layout(): QualityWarning | null {
    const { channels, power } = this;
    if (channels < 2 || this.peak < SILENT_PEAK) return null;
    if (this.cancelledSeconds) return warningOf("channels.cancel", { channels, length: this.cancelledSeconds.toFixed(1) });
    const silent = power.filter((one) => one < 1e-8 * Math.max(...power)).length;
    if (silent) return warningOf("channels.silent", { silent, channels });
    return channels > 2 ? warningOf("channels.many", { channels }) : null;
  }

  private rate(): QualityWarning | null {
    const rate = this.sampleRate;
    if (rate < LOW_RATE) return warningOf("low_rate", { rate, top: Math.floor(rate / 2), least: LOW_RATE });
    return USUAL_RATES.includes(rate) ? null : warningOf("sample_rate.odd", { rate });
  }

  private innerCutOff(): QualityWarning | null {
    const { spectrum, sampleRate: rate } = this;
    if (!spectrum.some((power) => power > 0)) return null;
    for (const former of FORMER_RATES.filter((one) => one <= 0.75 * rate)) {
      const bin = ((former / 2) * N_FFT) / rate;
      const below = mean(spectrum.subarray(Math.trunc(0.8 * bin) + 1, Math.ceil(0.93 * bin)));
      const above = mean(spectrum.subarray(Math.trunc(1.1 * bin) + 1));
      if (below > CLIFF * above) return warningOf("sample_rate.cut", { edge: former / 2000, rate, former });
    }
    return null;
  }
}

/** Return a warning where a file has more tracks with sound than the one that was used. */
export const aboutTracks = (track: number, tracks: number): QualityWarning[] => (tracks < 2 ? [] : [warningOf("tracks", { tracks, track })]);

/** Whether warnings say that a recording is silent: then warnings about its scores mean nothing. */
export const isSilent = (warnings: QualityWarning[]): boolean => warnings.some(({ code }) => code === "silent");

/** Return warnings from what the model detected: nothing, or something in a small part of the time. */
export function aboutAnswer(playing: string[], segments: { start: number; end: number }[], duration: number): QualityWarning[] {
  if (!playing.length) return [warningOf("nothing_detected")];
  let [covered, reached] = [0, -Infinity];
  for (const { start, end } of [...segments].sort((a, b) => a.start - b.start || a.end - b.end)) {
    covered += Math.max(0, end - Math.max(start, reached));
    reached = Math.max(reached, end);
  }
  const undetected = 1 - covered / Math.max(duration, 1e-9);
  return undetected <= UNDETECTED_SHARE || duration < SHORT_S ? [] : [warningOf("mostly_undetected", { share: percent(undetected, 0) })];
}

const percent = (share: number, digits: number) => `${(100 * share).toFixed(digits)}%`;

const sum = (values: ArrayLike<number>) => Array.from(values).reduce((all, value) => all + value, 0);

const mean = (values: Float64Array) => sum(values) / values.length;

/** Return how many samples stand in runs at full scale. */
function inRuns(channel: Float32Array): number {
  let [found, run] = [0, 0];
  for (let i = 0; i <= channel.length; i++) {
    if (i < channel.length && Math.abs(channel[i]) >= CLIPPED_LEVEL) run++;
    else {
      if (run >= CLIPPED_RUN) found += run;
      run = 0;
    }
  }
  return found;
}
