// Formats that no browser reads -> blocks of their samples, by a decoder in WebAssembly that is fetched for the first such file.

import type { Block, Opened } from "./audio.js";
import { WhoplaysError } from "./errors.js";

interface Decoded {
  channelData: Float32Array[];
  sampleRate: number;
}

/** What `decoder()` of the files decode-*.js gives; it holds what is not yet whole. */
interface Decoder {
  decode(bytes: Uint8Array): Decoded;
  flush(): Decoded;
  free(): void;
  /** Of WavPack: what is not yet whole. It begins where a block does. */
  left?: Uint8Array;
}

interface Module {
  decoder(): Promise<Decoder>;
  demuxASF?(head: Uint8Array): { duration: number; formatTag: number };
}

/** duration: seconds, null where the header has none. late: samples of silence before the first that is decoded. */
interface Header {
  duration: number | null;
  late: number;
}

interface Kind {
  mark: RegExp;
  address: () => URL;
  /** Bytes that the decoder needs at once to begin. */
  headSize(start: DataView): number;
  /** Read the head. */
  about(head: Uint8Array<ArrayBuffer>, module: Module, sampleRate: number): Header;
  /** How often its code has crashed; it is loaded anew after each crash. */
  crashes: number;
}

const READ = 1 << 18; // bytes
const MOST_KEPT = 1 << 22; // bytes: WavPack's decoder keeps what it was given, and has room for some minutes
const FIRST_OF_CHANNELS = 0x800; // among the flags of a block of WavPack
const LEAST_PIECE = 1 << 12; // bytes for the decoder: of silence, these alone may hold half a minute
const MOST_HEAD = 1 << 26; // bytes; pictures among them
const MOST_WITHOUT_SOUND = 1 << 25; // bytes: more than any block has
const [MOST_CHANNELS, LEAST_RATE, MOST_RATE] = [64, 1000, 768_000];
const UNKNOWN = 0xffffffff;
const [WMA_1, WMA_2] = [0x160, 0x161];
const ASF_STREAM = Uint8Array.of(0x91, 0x07, 0xdc, 0xb7, 0xb7, 0xa9, 0xcf, 0x11, 0x8e, 0xe6, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65);

const WAVPACK: Kind = {
  mark: /^wvpk/,
  address: () => new URL("./decode-wavpack.js", import.meta.url),
  headSize: () => 32,
  about: (head, _, sampleRate) => {
    const samples = new DataView(head.buffer).getUint32(12, true);
    return { duration: samples === UNKNOWN ? null : samples / sampleRate, late: 0 };
  },
  crashes: 0,
};

const WMA: Kind = {
  mark: /^0&\xb2u\x8e/,
  address: () => new URL("./decode-wma.js", import.meta.url),
  headSize: (start) => Number(start.getBigUint64(16, true)) + 50,
  about: (head, module, sampleRate) => {
    const streams = text(head).split(text(ASF_STREAM)).length - 1;
    if (streams > 1) throw new WhoplaysError("not-a-recording", "format", { format: "Windows Media (ASF) with several streams" });
    const { duration, formatTag } = module.demuxASF!(head);
    const frame = sampleRate <= 16000 ? 512 : sampleRate <= (formatTag === WMA_1 ? 32000 : 22050) ? 1024 : 2048;
    const late = [WMA_1, WMA_2].includes(formatTag) ? Math.round((1000 * 2 * frame) / sampleRate) / 1000 : 0; // ASF counts milliseconds
    return { duration: duration || null, late: Math.round(late * sampleRate) };
  },
  crashes: 0,
};

const text = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);
const damaged = (why: string) => new WhoplaysError("not-a-recording", "damaged", { why });
const read = async (file: Blob, at: number, size: number) => new Uint8Array(await file.slice(at, at + size).arrayBuffer());

/** Open a recording of these formats; null for a file of another one. Throws `WhoplaysError`. */
export async function openForeign(file: Blob): Promise<Opened | null> {
  const start = await read(file, 0, 32);
  const kind = [WAVPACK, WMA].find(({ mark }) => mark.test(String.fromCharCode(...start)));
  if (!kind) return null;
  const size = start.length < 32 ? 32 : kind.headSize(new DataView(start.buffer));
  if (size > Math.min(file.size, MOST_HEAD)) throw damaged("its beginning is cut off");
  const module = await fetched(kind);
  const use = { decoder: await module.decoder() };
  const blocks = decoded(file, size, use, module, kind);
  const close = () => use.decoder.free();
  try {
    const head = await read(file, 0, size);
    const first = await blocks.next();
    if (first.done) throw damaged("it has no sound");
    const { sampleRate, channels } = first.value;
    const { duration, late } = kind.about(head, module, sampleRate);
    const whole = async function* () {
      if (late) yield { sampleRate, channels: channels.map(() => new Float32Array(late)) };
      yield first.value;
      yield* blocks;
    };
    return { sampleRate, duration, warnings: [], blocks: whole, close };
  } catch (error) {
    close();
    throw error;
  }
}

async function fetched(kind: Kind): Promise<Module> {
  const address = kind.address();
  if (kind.crashes) address.search = String(kind.crashes);
  try {
    return await import(/* @vite-ignore */ address.href);
  } catch {
    throw new WhoplaysError("model", "missing", { name: address.pathname.replace(/.*\//, ""), status: "-" });
  }
}

/** Return with what another decoder can go on, null where this one must: blocks of WavPack do not depend on those before. */
function nextBlocks({ left }: Decoder): Uint8Array | null {
  if (!left || left.length < 32) return null;
  return new DataView(left.buffer, left.byteOffset).getUint32(24, true) & FIRST_OF_CHANNELS ? left : null;
}

/** Give a file to its decoder in small pieces, in larger ones as long as it waits for the rest of a block. */
async function* decoded(file: Blob, head: number, use: { decoder: Decoder }, module: Module, kind: Kind): AsyncGenerator<Block> {
  let [piece, without, kept, begun] = [LEAST_PIECE, 0, 0, false];
  const found = (act: () => Decoded): Block[] => {
    try {
      const { channelData, sampleRate } = act();
      if (!channelData[0]?.length) return [];
      const possible = channelData.length <= MOST_CHANNELS && sampleRate >= LEAST_RATE && sampleRate <= MOST_RATE;
      if (!possible) throw damaged(`${channelData.length} channels, ${sampleRate} Hz`);
      begun = true;
      return [{ channels: channelData, sampleRate }];
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) kind.crashes++;
      else if (!begun && /frame.* failed/.test(String(error))) return []; // the first frame of WMA lacks its predecessor
      throw error;
    }
  };
  const start = await read(file, 0, head);
  yield* found(() => use.decoder.decode(start));
  for (let at = head; at < file.size; at += READ) {
    const bytes = await read(file, at, READ);
    for (let from = 0; from < bytes.length; ) {
      const given = bytes.subarray(from, from + piece);
      const blocks = found(() => use.decoder.decode(given));
      [from, kept] = [from + given.length, kept + given.length];
      [piece, without] = blocks.length ? [LEAST_PIECE, 0] : [2 * piece, without + given.length];
      if (without > MOST_WITHOUT_SOUND) throw damaged("it goes on without sound");
      yield* blocks;
      const rest = kept > MOST_KEPT ? nextBlocks(use.decoder) : null;
      if (!rest) continue;
      use.decoder.free();
      [use.decoder, kept] = [await module.decoder(), 0];
      yield* found(() => use.decoder.decode(rest));
    }
  }
  yield* found(() => use.decoder.flush());
}
