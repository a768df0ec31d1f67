// A file, or blocks of samples -> mono samples at the model's rate, block by block. No recording is ever held whole.

import { ConverterType, create } from "@alexanderolsen/libsamplerate-js";
import { ALL_FORMATS, AudioSampleSink, BlobSource, Input } from "mediabunny";

import { WhoplaysError } from "./config.js";

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

/** What a file says of itself. duration: seconds, null where it does not tell. */
export interface Opened {
  sampleRate: number;
  duration: number | null;
  /** Blocks of each channel's samples, from the beginning to the end. */
  blocks(): AsyncGenerator<Float32Array[]>;
  close(): void;
}

/** Open a recording. Throws `WhoplaysError` with what was seen and what to do. */
export async function openFile(file: Blob): Promise<Opened> {
  const refuse = (why: string) => new WhoplaysError("not-a-recording", why);
  if (!file.size) throw refuse("is empty (0 bytes)");
  const input = new Input({ source: new BlobSource(file), formats: ALL_FORMATS });
  try {
    if (!(await input.canRead())) throw refuse("is not a recording that can be read; is it audio, and complete?");
    const track = await input.getPrimaryAudioTrack();
    if (!track) throw refuse("holds no sound, only video");
    const codec = (await track.getCodec()) ?? "an unknown codec";
    if (!(await track.canDecode())) {
      throw refuse(`is in ${codec}, which this browser cannot decode; convert it to WAV or FLAC, or use another browser`);
    }
    const duration = await input.computeDuration().catch(() => null);
    const length = codec === "vorbis" ? await oggLength(file) : Infinity;
    return { sampleRate: await track.getSampleRate(), duration, blocks: () => decoded(new AudioSampleSink(track), length), close: () => input.dispose() };
  } catch (error) {
    input.dispose();
    throw error instanceof WhoplaysError ? error : refuse(`is not a recording that can be read (${String(error).slice(0, 150)})`);
  }
}

/** Return the samples that a Vorbis file says it has: its last block is longer. Infinity where it does not say. */
async function oggLength(file: Blob): Promise<number> {
  const end = new Uint8Array(await file.slice(-65536).arrayBuffer());
  const view = new DataView(end.buffer);
  for (let at = end.length - 27; at >= 0; at--) {
    if (view.getUint32(at) === 0x4f676753) return Number(view.getBigInt64(at + 6, true)) || Infinity; // "OggS"
  }
  return Infinity;
}

async function* decoded(sink: AudioSampleSink, length: number): AsyncGenerator<Float32Array[]> {
  let heldChannels: Float32Array[][] = [];
  let held = 0;
  const give = () => {
    const whole = heldChannels.map((parts) => {
      const joined = new Float32Array(held);
      let at = 0;
      for (const part of parts) {
        joined.set(part, at);
        at += part.length;
      }
      return joined;
    });
    [heldChannels, held] = [[], 0];
    return whole;
  };
  for await (const sample of sink.samples()) {
    const { numberOfChannels, sampleRate, numberOfFrames, timestamp } = sample;
    if (heldChannels.length && heldChannels.length !== numberOfChannels) yield give();
    if (!heldChannels.length) heldChannels = Array.from({ length: numberOfChannels }, () => []);
    const first = Math.round(timestamp * sampleRate);
    const early = Math.max(0, Math.min(numberOfFrames, -first)); // an encoder's delay
    const end = Math.max(early, Math.min(numberOfFrames, length - first));
    for (let plane = 0; plane < numberOfChannels; plane++) {
      const part = new Float32Array(numberOfFrames);
      sample.copyTo(part, { planeIndex: plane, format: "f32-planar" });
      heldChannels[plane].push(part.subarray(early, end));
    }
    held += end - early;
    sample.close();
    if (held >= BLOCK_S * sampleRate) yield give();
  }
  if (held) yield give();
}
