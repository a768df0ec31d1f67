// A file, or blocks of samples -> mono samples at the model's rate, block by block. No recording is ever held whole.

import { ConverterType, create } from "@alexanderolsen/libsamplerate-js";
import { ALL_FORMATS, AudioSampleSink, BlobSource, Input } from "mediabunny";

import { WhoplaysError } from "./config.js";
import { type Extent, extentOf } from "./extent.js";

const CANCELLED = 0.01; // of the channels' power is left in their mean
const MAX_LEVEL = 1e4;
const FLUSH = 8192; // samples of silence that carry the last sound through a resampler
const BLOCK_S = 1;

/** Mixes blocks to one channel: their mean, or the louder channel alone where they cancel each other. */
export function mono(channels: Float32Array[]): Float32Array {
  const mixed = new Float32Array(channels[0].length);
  for (const channel of channels) for (let i = 0; i < mixed.length; i++) mixed[i] += channel[i];
  let [power, left, peak] = [0, 0, 0];
  for (let i = 0; i < mixed.length; i++) {
    mixed[i] /= channels.length;
    left += mixed[i] ** 2;
    if (!(Math.abs(mixed[i]) <= peak)) peak = Math.abs(mixed[i]);
  }
  if (!Number.isFinite(peak)) throw new WhoplaysError("not-a-recording", "holds NaN or infinite samples; write the recording anew");
  if (peak > MAX_LEVEL) throw new WhoplaysError("not-a-recording", `has samples as large as ${peak.toPrecision(3)}; full scale is 1`);
  if (channels.length === 1) return mixed;
  const powers = channels.map((channel) => channel.reduce((sum, x) => sum + x * x, 0));
  for (const one of powers) power += one / channels.length;
  return left < CANCELLED * power ? channels[powers.indexOf(Math.max(...powers))].slice() : mixed;
}

/** Brings mono blocks to another rate, as they come. */
export class Resampler {
  private taken = 0;
  private given = 0;

  private constructor(private readonly inner: Awaited<ReturnType<typeof create>> | null, private readonly ratio: number) {}

  static async open(from: number, to: number): Promise<Resampler> {
    const options = { converterType: ConverterType.SRC_SINC_BEST_QUALITY };
    return new Resampler(from === to ? null : await create(1, from, to, options), to / from);
  }

  push(block: Float32Array): Float32Array {
    this.taken += block.length;
    const found = this.inner ? this.inner.full(block).slice() : block;
    this.given += found.length;
    return found;
  }

  /** Return what is still inside, and free the resampler. */
  finish(): Float32Array {
    const missing = Math.round(this.taken * this.ratio) - this.given;
    const rest = this.inner && missing > 0 ? this.inner.full(new Float32Array(FLUSH)).slice(0, missing) : new Float32Array(0);
    this.close();
    return rest;
  }

  close(): void {
    this.inner?.destroy();
  }
}

/** Samples of all channels as decoded. */
export interface Block {
  channels: Float32Array[];
  sampleRate: number;
}

/** What a file says of itself. duration: seconds, null where it does not tell. */
export interface Opened {
  sampleRate: number;
  duration: number | null;
  /** The sound from the beginning to the end. */
  blocks(): AsyncGenerator<Block>;
  close(): void;
}

/** Open a recording. Throws `WhoplaysError` with what was seen and what to do. */
export async function openFile(file: Blob): Promise<Opened> {
  const refuse = (why: string) => new WhoplaysError("not-a-recording", why);
  if (!file.size) throw refuse("is empty (0 bytes)");
  const input = new Input({ source: new BlobSource(file), formats: ALL_FORMATS });
  try {
    if (!(await input.canRead())) {
      const kind = await undecoded(file);
      throw refuse(kind ? `is ${kind}, which browsers cannot decode; convert it to WAV or FLAC` : "is not a recording that can be read; is it audio, and complete?");
    }
    const track = await input.getPrimaryAudioTrack();
    if (!track) throw refuse((await input.getVideoTracks()).length ? "holds no sound, only video" : "holds no sound that can be read here; convert it to WAV or FLAC");
    const codec = (await track.getCodec()) ?? "an unknown codec";
    if (!(await track.canDecode())) {
      throw refuse(`is in ${codec}, which this browser cannot decode; convert it to WAV or FLAC, or use another browser`);
    }
    const sampleRate = await track.getSampleRate();
    const extent = await extentOf(file, await input.getFormat(), track);
    const duration = (await track.getDurationFromMetadata()) ?? (await track.computeDuration().catch(() => null));
    return { sampleRate, duration, blocks: () => decoded(new AudioSampleSink(track), extent), close: () => input.dispose() };
  } catch (error) {
    input.dispose();
    throw error instanceof WhoplaysError ? error : refuse(`is not a recording that can be read (${String(error).slice(0, 150)})`);
  }
}

const UNDECODED: [string, RegExp][] = [["AIFF", /^FORM.{4}AIF[FC]/s], ["CAF", /^caff/], ["WMA", /^0&\xb2u/], ["MIDI", /^MThd/], ["Monkey's Audio", /^MAC /], ["WavPack", /^wvpk/]];

/** Return the name of a format that is known and that no browser decodes. */
async function undecoded(file: Blob): Promise<string | undefined> {
  const start = String.fromCharCode(...new Uint8Array(await file.slice(0, 12).arrayBuffer()));
  return UNDECODED.find(([, mark]) => mark.test(start))?.[0];
}

async function* decoded(sink: AudioSampleSink, { skip, length, padded }: Extent): AsyncGenerator<Block> {
  let parts: Float32Array[][] = [];
  let [held, given, rate] = [0, 0, 0];
  const give = (): Block => {
    const channels = parts.map((one) => joined(one, held));
    [parts, held] = [parts.map(() => []), 0];
    return { channels, sampleRate: rate };
  };
  for await (const sample of sink.samples()) {
    const { numberOfChannels, sampleRate, numberOfFrames, timestamp } = sample;
    if (held && (parts.length !== numberOfChannels || rate !== sampleRate)) yield give();
    if (!held) [parts, rate] = [Array.from({ length: numberOfChannels }, () => []), sampleRate];
    const first = Math.round(timestamp * sampleRate) - skip; // below 0: an encoder's delay
    const from = Math.max(0, Math.min(numberOfFrames, -first));
    const to = Math.max(from, Math.min(numberOfFrames, length - first));
    for (let plane = 0; plane < numberOfChannels; plane++) {
      const part = new Float32Array(numberOfFrames);
      sample.copyTo(part, { planeIndex: plane, format: "f32-planar" });
      parts[plane].push(part.subarray(from, to));
    }
    held += to - from;
    given += to - from;
    sample.close();
    if (held >= BLOCK_S * sampleRate) yield give();
  }
  const missing = length - given;
  if (padded && missing > 0 && missing <= padded) {
    for (const part of parts) part.push(new Float32Array(missing));
    held += missing;
  }
  if (held) yield give();
}

/** Return the parts as one. */
function joined(parts: Float32Array[], length: number): Float32Array {
  const whole = new Float32Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
