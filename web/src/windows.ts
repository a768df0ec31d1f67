// Blocks of samples -> overlapping windows, each answering for its middle; see src/whoplays/audio/windows.py.

/** A stretch of a recording; `start`, `first` and `last` count samples from its beginning. */
export interface Window {
  samples: Float32Array;
  start: number;
  /** The part that the window answers for, from `first` up to `last`. */
  first: number;
  last: number;
}

/** Cuts a recording into windows as its samples arrive. */
export class Windows {
  private held: Float32Array;
  private size = 0;
  private passed = new Float32Array(0);
  private start = 0;
  private done = 0;

  /** length: samples in a window. context: samples at each end that it does not answer for. */
  constructor(private readonly length: number, private readonly context = 0) {
    this.held = new Float32Array(2 * length);
  }

  /** Take in a block; return the windows that are complete and not the last. */
  push(block: Float32Array): Window[] {
    if (this.size + block.length > this.held.length) {
      const grown = new Float32Array(2 * (this.size + block.length));
      grown.set(this.held.subarray(0, this.size));
      this.held = grown;
    }
    this.held.set(block, this.size);
    this.size += block.length;
    const hop = this.length - 2 * this.context;
    const found: Window[] = [];
    let at = 0;
    for (; this.size - at > this.length; at += hop) {
      const last = this.start + this.length - this.context;
      found.push({ samples: this.held.slice(at, at + this.length), start: this.start, first: this.done, last });
      this.passed = this.held.slice(at, at + hop);
      this.done = last;
      this.start += hop;
    }
    this.held.copyWithin(0, at, this.size);
    this.size -= at;
    return found;
  }

  /** Return the last window, after all blocks; nothing for no samples. */
  finish(): Window | null {
    if (this.start + this.size <= this.done) return null;
    const missing = Math.min(this.length - this.size, this.passed.length);
    const samples = new Float32Array(missing + this.size);
    samples.set(this.passed.subarray(this.passed.length - missing));
    samples.set(this.held.subarray(0, this.size), missing);
    return { samples, start: this.start - missing, first: this.done, last: this.start + this.size };
  }
}
