// A file, or blocks of samples -> mono samples at the model's rate, block by block. No recording is ever held whole.

import speex, { type Speex } from "@echogarden/speex-resampler-wasm/simd";
import { ALL_FORMATS, AudioSampleSink, BlobSource, Input } from "mediabunny";

import { type Values, WhoplaysError } from "./errors.js";
import { type Extent, extentOf } from "./extent.js";

const CANCELLED = 0.01; // of the channels' power is left in their mean
const MAX_LEVEL = 1e4;
const QUALITY = 8; // of 10; nearest to the resampler that Python uses
const PIECE = 16384; // samples
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
  if (!Number.isFinite(peak)) throw new WhoplaysError("not-a-recording", "notFinite");
  if (peak > MAX_LEVEL) throw new WhoplaysError("not-a-recording", "loud", { level: peak.toPrecision(3) });
  if (channels.length === 1) return mixed;
  const powers = channels.map((channel) => channel.reduce((sum, x) => sum + x * x, 0));
  for (const one of powers) power += one / channels.length;
  return left < CANCELLED * power ? channels[powers.indexOf(Math.max(...powers))].slice() : mixed;
}

let loading: Promise<Speex> | null = null;

async function library(): Promise<Speex> {
  const file = await fetch(new URL("./speex-resampler-simd.wasm", import.meta.url));
  if (!file.ok) throw new WhoplaysError("model", "missing", { name: "speex-resampler-simd.wasm", status: file.status });
  return speex({ wasmBinary: await file.arrayBuffer() });
}

/** Brings mono blocks to another rate, as they come; `close` frees what it holds. */
export class Resampler {
  private taken = 0;
  private given = 0;
  private readonly state: number = 0;
  private readonly at: { input: number; output: number; read: number; written: number } | null = null;

  private constructor(private readonly module: Speex | null, private readonly ratio: number, from: number, to: number) {
    if (!module) return;
    const [read, written] = [module._malloc(4), module._malloc(4)];
    this.at = { input: module._malloc(4 * PIECE), output: module._malloc(4 * this.room), read, written };
    this.state = module._speex_resampler_init(1, from, to, QUALITY, read);
    module._speex_resampler_skip_zeros(this.state);
  }

  static async open(from: number, to: number): Promise<Resampler> {
    loading ??= library();
    loading.catch(() => { loading = null; });
    return new Resampler(from === to ? null : await loading, to / from, from, to);
  }

  push(block: Float32Array): Float32Array {
    this.taken += block.length;
    const found = this.module ? this.resampled(block) : block;
    this.given += found.length;
    return found;
  }

  /** Return what is still inside, and free the resampler. */
  finish(): Float32Array {
    const missing = Math.round(this.taken * this.ratio) - this.given;
    const rest = this.module && missing > 0 ? this.resampled(new Float32Array(Math.ceil(missing / this.ratio) + FLUSH)).slice(0, missing) : new Float32Array(0);
    this.close();
    return rest;
  }

  close(): void {
    if (!this.module || !this.at) return;
    this.module._speex_resampler_destroy(this.state);
    for (const address of Object.values(this.at)) this.module._free(address);
    Object.assign(this, { module: null, at: null });
  }

  private get room(): number {
    return Math.ceil(PIECE * this.ratio) + FLUSH;
  }

  private resampled(block: Float32Array): Float32Array {
    const [module, { input, output, read, written }] = [this.module!, this.at!];
    const parts: Float32Array[] = [];
    let [done, size] = [0, 0];
    while (done < block.length) {
      const piece = block.subarray(done, done + PIECE);
      module.HEAPF32.set(piece, input >> 2);
      let numbers = new Uint32Array(module.HEAPF32.buffer);
      numbers[read >> 2] = piece.length;
      numbers[written >> 2] = this.room;
      module._speex_resampler_process_float(this.state, 0, input, read, output, written);
      numbers = new Uint32Array(module.HEAPF32.buffer); // its memory may have grown
      done += numbers[read >> 2];
      parts.push(module.HEAPF32.slice(output >> 2, (output >> 2) + numbers[written >> 2]));
      size += parts.at(-1)!.length;
    }
    return joined(parts, size);
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
  const refuse = (reason: string, values?: Values) => new WhoplaysError("not-a-recording", reason, values);
  if (!file.size) throw refuse("empty");
  const input = new Input({ source: new BlobSource(file), formats: ALL_FORMATS });
  try {
    if (!(await input.canRead())) {
      const kind = await undecoded(file);
      throw kind ? refuse("format", { format: kind }) : refuse("unreadable");
    }
    const track = await input.getPrimaryAudioTrack();
    if (!track) throw refuse((await input.getVideoTracks()).length ? "silentVideo" : "noSound");
    const codec = (await track.getCodec()) ?? "an unknown codec";
    if (!(await track.canDecode())) throw refuse("codec", { codec });
    const sampleRate = await track.getSampleRate();
    const extent = await extentOf(file, await input.getFormat(), track);
    const duration = (await track.getDurationFromMetadata()) ?? (await track.computeDuration().catch(() => null));
    return { sampleRate, duration, blocks: () => decoded(new AudioSampleSink(track), extent), close: () => input.dispose() };
  } catch (error) {
    input.dispose();
    throw error instanceof WhoplaysError ? error : broken(error);
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

/** Return what a person can be told about an error of a decoder or of reading. */
export function broken(error: unknown): WhoplaysError {
  const why = String(error instanceof Error ? error.message || error.name : error).split("\n")[0].slice(0, 150);
  const gone = error instanceof DOMException && ["NotReadableError", "NotFoundError"].includes(error.name);
  return new WhoplaysError("not-a-recording", gone ? "gone" : "damaged", { why });
}
