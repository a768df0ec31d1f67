// Where the sound of a file begins and ends by its own headers: encoders add samples before and after it, decoders give them.

import { FLAC, type InputAudioTrack, type InputFormat, MP3, OGG } from "mediabunny";

/** Counted in samples as decoded. */
export interface Extent {
  /** Before the sound. */
  skip: number;
  /** Of the sound; Infinity where the file does not tell. */
  length: number;
  /** Of silence that may be missing at the end. */
  padded: number;
}

const WHOLE: Extent = { skip: 0, length: Infinity, padded: 0 };
const DECODER_DELAY = 529; // samples, of any MP3 decoder
const ID3_HEADER = 10; // bytes
const MOST_PROBED = 1 << 16; // bytes after the tags, in which the first frame must be
const MAX_FLAC_BLOCK = 65536; // samples; a last one of silence is so few bytes that mediabunny passes it over

export async function extentOf(file: Blob, format: InputFormat, track: InputAudioTrack): Promise<Extent> {
  if (format === MP3) return mp3Extent(file);
  const duration = format === FLAC ? await track.getDurationFromMetadata() : format === OGG ? await track.computeDuration() : null;
  if (!duration) return WHOLE;
  return { skip: 0, length: Math.round(duration * (await track.getSampleRate())), padded: format === FLAC ? MAX_FLAC_BLOCK : 0 };
}

/** Read what LAME and its like write into the first frame (http://gabriel.mp3-tech.org/mp3infotag.html). */
async function mp3Extent(file: Blob): Promise<Extent> {
  let start = 0;
  for (;;) {
    const tag = new Uint8Array(await file.slice(start, start + ID3_HEADER).arrayBuffer());
    if (tag.length < ID3_HEADER || String.fromCharCode(...tag.subarray(0, 3)) !== "ID3") break;
    start += ID3_HEADER + tag.subarray(6).reduce((size, byte) => (size << 7) | (byte & 0x7f), 0);
  }
  const bytes = new Uint8Array(await file.slice(start, start + MOST_PROBED).arrayBuffer());
  const at = bytes.findIndex((byte, i) => byte === 0xff && (bytes[i + 1] & 0xe6) === 0xe2);
  if (at < 0 || at + 200 > bytes.length) return WHOLE;
  const view = new DataView(bytes.buffer, at);
  const mpeg1 = (bytes[at + 1] & 0x08) !== 0;
  const oneChannel = bytes[at + 3] >> 6 === 3;
  let tag = 4 + (mpeg1 ? (oneChannel ? 17 : 32) : oneChannel ? 9 : 17);
  if (![0x58696e67, 0x496e666f].includes(view.getUint32(tag))) return WHOLE; // "Xing", "Info"
  const flags = view.getUint32(tag + 4);
  if (!(flags & 1)) return WHOLE;
  const samples = view.getUint32(tag + 8) * (mpeg1 ? 1152 : 576);
  tag += 12 + (flags & 2 ? 4 : 0) + (flags & 4 ? 100 : 0) + (flags & 8 ? 4 : 0);
  if (at + tag + 24 > bytes.length || view.getUint8(tag) === 0) return WHOLE; // no encoder's name
  const delay = (view.getUint8(tag + 21) << 4) | (view.getUint8(tag + 22) >> 4);
  const padding = ((view.getUint8(tag + 22) & 0x0f) << 8) | view.getUint8(tag + 23);
  const length = samples - delay - padding;
  return length > 0 ? { skip: delay + DECODER_DELAY, length, padded: 0 } : WHOLE;
}
