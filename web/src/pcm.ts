// AIFF, AIFF-C and CAF, which no browser reads: their chunks, and samples that are not compressed.

import { type Block, type Opened } from "./audio.js";
import { WhoplaysError } from "./errors.js";

const [MOST_CHANNELS, LEAST_RATE, MOST_RATE] = [64, 1000, 768_000];
const MOST_CHUNKS = 1000;
const MOST_BYTES = 1 << 24; // read at a time

/** How numbers lie in a file. unsigned: of 8 bits alone. */
interface Layout {
  kind: "integer" | "unsigned" | "float" | "ulaw" | "alaw";
  bytes: number;
  little: boolean;
}

interface Sound {
  layout: Layout;
  channels: number;
  sampleRate: number;
  /** Of the file, where samples begin, and how many of a channel there are. */
  at: number;
  frames: number;
}

interface Chunk {
  name: string;
  at: number;
  size: number;
}

/** Open a recording of these formats; null for a file of another one. Throws `WhoplaysError`. */
export async function openUncompressed(file: Blob): Promise<Opened | null> {
  const start = String.fromCharCode(...new Uint8Array(await file.slice(0, 12).arrayBuffer()));
  if (!/^(FORM.{4}AIF[FC]|caff)/s.test(start)) return null;
  const sound = await (start.startsWith("caff") ? readCaf(file) : readAiff(file));
  const { sampleRate, channels, frames } = sound;
  const possible = channels >= 1 && channels <= MOST_CHANNELS && sampleRate >= LEAST_RATE && sampleRate <= MOST_RATE;
  if (!possible) throw damaged(`${channels} channels, ${sampleRate} Hz`);
  return { sampleRate, duration: frames / sampleRate, warnings: [], blocks: () => blocks(file, sound), close: () => {} };
}

const damaged = (why: string) => new WhoplaysError("not-a-recording", "damaged", { why });
const compressed = (format: string, codec: string) => new WhoplaysError("not-a-recording", "format", { format: `${format} (${codec.trim()})` });

const view = async (file: Blob, at: number, size: number) => new DataView(await file.slice(at, at + size).arrayBuffer());
const word = (from: DataView, at: number) => String.fromCharCode(...new Uint8Array(from.buffer, at, 4));

async function* chunksOf(file: Blob, first: number, head: (from: DataView) => number, even: boolean): AsyncGenerator<Chunk> {
  const length = even ? 8 : 12;
  for (let [at, count] = [first, 0]; at + length <= file.size && count < MOST_CHUNKS; count++) {
    const header = await view(file, at, length);
    const left = file.size - at - length;
    const size = head(header);
    yield { name: word(header, 0), at: at + length, size: size < 0 ? left : Math.min(size, left) };
    if (size < 0) return; // to the end of the file
    at += length + size + (even ? size % 2 : 0);
  }
}

async function readAiff(file: Blob): Promise<Sound> {
  let [common, data]: (Chunk | null)[] = [null, null];
  for await (const chunk of chunksOf(file, 12, (from) => from.getUint32(4), true)) {
    if (chunk.name === "COMM") common = chunk;
    if (chunk.name === "SSND") data = chunk;
    if (common && data) break;
  }
  if (!common || common.size < 18 || !data || data.size < 8) throw damaged("AIFF without samples");
  const facts = await view(file, common.at, Math.min(common.size, 22));
  const codec = facts.byteLength >= 22 ? word(facts, 18) : "NONE";
  const bytes = Math.ceil(facts.getUint16(6) / 8);
  const layout = aiffLayout(codec, bytes);
  const channels = facts.getUint16(0);
  const offset = (await view(file, data.at, 4)).getUint32(0);
  const there = Math.floor((data.size - 8 - offset) / (layout.bytes * channels));
  return { layout, channels, sampleRate: Math.round(extended(facts, 8)), at: data.at + 8 + offset, frames: Math.max(0, Math.min(facts.getUint32(2), there)) };
}

function aiffLayout(codec: string, bytes: number): Layout {
  const integers = bytes >= 1 && bytes <= 4;
  switch (codec) {
    case "NONE": case "twos": if (integers) return { kind: "integer", bytes, little: false }; break;
    case "in24": case "42n1": return { kind: "integer", bytes: 3, little: codec === "42n1" };
    case "in32": case "23n1": return { kind: "integer", bytes: 4, little: codec === "23n1" };
    case "sowt": if (integers) return { kind: "integer", bytes, little: true }; break;
    case "raw ": return { kind: "unsigned", bytes: 1, little: false };
    case "fl32": case "FL32": return { kind: "float", bytes: 4, little: false };
    case "fl64": case "FL64": return { kind: "float", bytes: 8, little: false };
    case "ulaw": case "ULAW": return { kind: "ulaw", bytes: 1, little: false };
    case "alaw": case "ALAW": return { kind: "alaw", bytes: 1, little: false };
  }
  throw compressed("AIFF", codec);
}

/** Return a number of 80 bits (IEEE 754 extended). */
function extended(from: DataView, at: number): number {
  const exponent = (from.getUint16(at) & 0x7fff) - 16383 - 63;
  return (from.getUint32(at + 2) * 2 ** 32 + from.getUint32(at + 6)) * 2 ** exponent;
}

async function readCaf(file: Blob): Promise<Sound> {
  let [description, data]: (Chunk | null)[] = [null, null];
  for await (const chunk of chunksOf(file, 8, (from) => Number(from.getBigInt64(4)), false)) {
    if (chunk.name === "desc") description = chunk;
    if (chunk.name === "data") data = chunk;
    if (description && data) break;
  }
  if (!description || description.size < 32 || !data || data.size < 4) throw damaged("CAF without samples");
  const facts = await view(file, description.at, 32);
  const [codec, flags, channels] = [word(facts, 8), facts.getUint32(12), facts.getUint32(24)];
  const bytes = facts.getUint32(16) / channels;
  const layout = cafLayout(codec, flags, bytes);
  const frames = Math.floor((data.size - 4) / (layout.bytes * channels));
  return { layout, channels, sampleRate: Math.round(facts.getFloat64(0)), at: data.at + 4, frames };
}

function cafLayout(codec: string, flags: number, bytes: number): Layout {
  const little = (flags & 2) !== 0;
  if (codec === "lpcm" && flags & 1 && (bytes === 4 || bytes === 8)) return { kind: "float", bytes, little };
  if (codec === "lpcm" && !(flags & 1) && [1, 2, 3, 4].includes(bytes)) return { kind: "integer", bytes, little };
  if (codec === "ulaw" || codec === "alaw") return { kind: codec, bytes: 1, little };
  throw compressed("CAF", codec);
}

async function* blocks(file: Blob, { layout, channels, sampleRate, at, frames }: Sound): AsyncGenerator<Block> {
  const read = reader(layout);
  const width = layout.bytes * channels;
  const most = Math.min(sampleRate, Math.floor(MOST_BYTES / width));
  for (let first = 0; first < frames; first += most) {
    const count = Math.min(most, frames - first);
    const from = await view(file, at + first * width, count * width);
    yield {
      channels: Array.from({ length: channels }, (_, channel) => {
        const samples = new Float32Array(count);
        for (let i = 0; i < count; i++) samples[i] = read(from, i * width + channel * layout.bytes);
        return samples;
      }),
      sampleRate,
    };
  }
}

/** Return what reads the sample at a byte as -1 to 1. */
function reader({ kind, bytes, little }: Layout): (from: DataView, at: number) => number {
  if (kind === "ulaw") return (from, at) => ULAW[from.getUint8(at)];
  if (kind === "alaw") return (from, at) => ALAW[from.getUint8(at)];
  if (kind === "unsigned") return (from, at) => (from.getUint8(at) - 128) / 128;
  if (kind === "float") return bytes === 4 ? (from, at) => from.getFloat32(at, little) : (from, at) => from.getFloat64(at, little);
  if (bytes === 1) return (from, at) => from.getInt8(at) / 128;
  if (bytes === 2) return (from, at) => from.getInt16(at, little) / 32768;
  if (bytes === 4) return (from, at) => from.getInt32(at, little) / 2 ** 31;
  const [low, middle, high] = little ? [0, 1, 2] : [2, 1, 0];
  return (from, at) => ((from.getInt8(at + high) << 16) | (from.getUint8(at + middle) << 8) | from.getUint8(at + low)) / 2 ** 23;
}

/** What each byte stands for in ITU-T G.711. */
const ULAW = Float32Array.from({ length: 256 }, (_, byte) => {
  const bits = ~byte & 0xff;
  const level = ((((bits & 15) << 3) + 132) << ((bits >> 4) & 7)) - 132;
  return (bits & 128 ? -level : level) / 32768;
});
const ALAW = Float32Array.from({ length: 256 }, (_, byte) => {
  const bits = byte ^ 0x55;
  const exponent = (bits >> 4) & 7;
  const level = exponent ? (((bits & 15) << 4) + 264) << (exponent - 1) : ((bits & 15) << 4) + 8;
  return (bits & 128 ? level : -level) / 32768;
});
