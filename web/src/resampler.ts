// Mono blocks of one rate -> blocks of another, by Speex's resampler in WebAssembly.

import speex, { type Speex } from "@echogarden/speex-resampler-wasm/simd";

import { WhoplaysError } from "./errors.js";
import { joined } from "./joined.js";

const QUALITY = 8; // of 10; nearest to the resampler that Python uses
const QUALITY_BETWEEN = 4; // of intermediate steps, whose transition band the last step removes
const MOST_PHASES = 16; // of which Speex keeps the filters at QUALITY; of more it computes them anew for each sample
const PIECE = 16384; // samples
const FLUSH = 8192; // samples of silence that carry the last sound through

let loading: Promise<Speex> | null = null;

async function library(): Promise<Speex> {
  const file = await fetch(new URL("./speex-resampler-simd.wasm", import.meta.url));
  if (!file.ok) throw new WhoplaysError("model", "missing", { name: "speex-resampler-simd.wasm", status: file.status });
  return speex({ wasmBinary: await file.arrayBuffer() });
}

const divisor = (a: number, b: number): number => (b ? divisor(b, a % b) : a);
const phases = (from: number, to: number) => to / divisor(from, to);

/** Return the rates to go through: several steps of few phases take a quarter of the time of one of many, as from 48000 Hz. */
export function ratesBetween(from: number, to: number): number[] {
  const rates: number[] = [];
  let rate = from;
  while (phases(rate, to) > MOST_PHASES) {
    rate *= 7 / 8;
    if (!Number.isInteger(rate) || rate <= to) return [to];
    rates.push(rate);
  }
  return from === to ? [] : [...rates, to];
}

/** From one rate to another. */
class Step {
  private readonly state: number;
  private readonly at: { input: number; output: number; read: number; written: number };

  constructor(private readonly module: Speex, private readonly ratio: number, from: number, to: number, quality: number) {
    const [read, written] = [module._malloc(4), module._malloc(4)];
    this.at = { input: module._malloc(4 * PIECE), output: module._malloc(4 * this.room), read, written };
    this.state = module._speex_resampler_init(1, from, to, quality, read);
    module._speex_resampler_skip_zeros(this.state);
  }

  push(block: Float32Array): Float32Array {
    const { module, at: { input, output, read, written } } = this;
    const parts: Float32Array[] = [];
    let done = 0;
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
    }
    return joined(parts);
  }

  close(): void {
    this.module._speex_resampler_destroy(this.state);
    for (const address of Object.values(this.at)) this.module._free(address);
  }

  private get room(): number {
    return Math.ceil(PIECE * this.ratio) + FLUSH;
  }
}

/** Brings mono blocks to another rate, as they arrive; `close` frees what it holds. */
export class Resampler {
  private received = 0;
  private returned = 0;

  private constructor(private steps: Step[], private readonly ratio: number) {}

  static async open(from: number, to: number): Promise<Resampler> {
    const rates = ratesBetween(from, to);
    if (!rates.length) return new Resampler([], 1);
    loading ??= library();
    loading.catch(() => { loading = null; });
    const module = await loading;
    const steps = rates.map((rate, i) => {
      const before = i ? rates[i - 1] : from;
      return new Step(module, rate / before, before, rate, rate === to ? QUALITY : QUALITY_BETWEEN);
    });
    return new Resampler(steps, to / from);
  }

  push(block: Float32Array): Float32Array {
    this.received += block.length;
    const found = this.through(block);
    this.returned += found.length;
    return found;
  }

  /** Return what is still inside, and free the resampler. */
  finish(): Float32Array {
    const missing = Math.round(this.received * this.ratio) - this.returned;
    const rest = missing > 0 ? this.through(new Float32Array(Math.ceil(missing / this.ratio) + FLUSH)).slice(0, missing) : new Float32Array(0);
    this.close();
    return rest;
  }

  close(): void {
    for (const step of this.steps) step.close();
    this.steps = [];
  }

  private through(block: Float32Array): Float32Array {
    return this.steps.reduce((samples, step) => step.push(samples), block);
  }
}
