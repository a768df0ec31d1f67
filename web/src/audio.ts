// A file -> blocks of its samples. No recording is ever held whole.

import { ALL_FORMATS, AudioSampleSink, BlobSource, Input } from "mediabunny";

import "./ac3.js";
import { type Values, WhoplaysError } from "./errors.js";
import { type Extent, extentOf } from "./extent.js";
import { openForeign } from "./foreign.js";
import { joined } from "./joined.js";
import { openUncompressed } from "./pcm.js";
import { type QualityWarning, aboutTracks } from "./quality.js";

const BLOCK_S = 1;

/** Samples of all channels as decoded. */
export interface Block {
  channels: Float32Array[];
  sampleRate: number;
}

/** What a file says of itself. duration: seconds, null where it does not tell. */
export interface Opened {
  sampleRate: number;
  duration: number | null;
  warnings: QualityWarning[];
  /** The sound from the beginning to the end. */
  blocks(): AsyncGenerator<Block>;
  close(): void;
}

/** Open a recording. Throws `WhoplaysError` with what was seen and what to do. */
export async function openFile(file: Blob): Promise<Opened> {
  const refuse = (reason: string, values?: Values) => new WhoplaysError("not-a-recording", reason, values);
  if (!file.size) throw refuse("empty");
  const opened = (await openUncompressed(file)) ?? (await openForeign(file));
  if (opened) return opened;
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
    const tracks = await input.getAudioTracks();
    const warnings = aboutTracks(tracks.indexOf(track) + 1, tracks.length);
    return { sampleRate, duration, warnings, blocks: () => decoded(new AudioSampleSink(track), extent), close: () => input.dispose() };
  } catch (error) {
    input.dispose();
    throw error instanceof WhoplaysError ? error : broken(error);
  }
}

const UNDECODED: [string, RegExp][] = [
  ["MIDI", /^MThd/], ["Monkey's Audio", /^MAC /], ["Musepack", /^MP(\+|CK)/], ["raw AC-3", /^\x0bw/], ["True Audio", /^TTA[12]/],
  ["AMR", /^#!AMR/], ["DSD", /^(DSD |FRM8)/], ["FLAC in Ogg", /^OggS.{24}\x7fFLAC/s],
];

/** Return the name of a format that is known and that nothing here decodes. */
async function undecoded(file: Blob): Promise<string | undefined> {
  const start = String.fromCharCode(...new Uint8Array(await file.slice(0, 40).arrayBuffer()));
  return UNDECODED.find(([, mark]) => mark.test(start))?.[0];
}

async function* decoded(sink: AudioSampleSink, { skip, length, padded }: Extent): AsyncGenerator<Block> {
  let parts: Float32Array[][] = [];
  let [held, given, rate] = [0, 0, 0];
  const give = (): Block => {
    const channels = parts.map((one) => joined(one));
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

/** Return the error to show for one of a decoder or of reading. */
export function broken(error: unknown): WhoplaysError {
  const why = String(error instanceof Error ? error.message || error.name : error).split("\n")[0].slice(0, 150);
  const gone = error instanceof DOMException && ["NotReadableError", "NotFoundError"].includes(error.name);
  return new WhoplaysError("not-a-recording", gone ? "gone" : "damaged", { why });
}
