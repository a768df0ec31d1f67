// Which part of a recording is shown: zoom and pan as arithmetic, without a screen.

const LEAST_S = 2;

/** Keep a view of `span` seconds within the recording. */
function within(start, end, from, span) {
  const length = Math.min(end - start, Math.max(Math.min(LEAST_S, end - start), span));
  const first = Math.min(end - length, Math.max(start, from));
  return { from: first, to: first + length };
}

/**
 * A view of a recording from `start` to `end` seconds.
 * @param {number} start @param {number} end
 */
export class View {
  constructor(start, end) {
    this.start = start;
    this.end = end;
    this.from = start;
    this.to = end;
  }

  get zoom() { return (this.end - this.start) / (this.to - this.from); }

  /** Show `factor` times as much detail, with the second `around` where it is. */
  scale(factor, around = (this.from + this.to) / 2) {
    const span = (this.to - this.from) / factor;
    const share = (around - this.from) / (this.to - this.from);
    const kept = Math.min(this.end - this.start, Math.max(LEAST_S, span));
    Object.assign(this, within(this.start, this.end, around - share * kept, span));
  }

  move(seconds) { Object.assign(this, within(this.start, this.end, this.from + seconds, this.to - this.from)); }
  fit() { Object.assign(this, { from: this.start, to: this.end }); }

  /** Make a second visible. Returns whether the view changed. */
  reveal(seconds) {
    if (seconds >= this.from && seconds <= this.to) return false;
    Object.assign(this, within(this.start, this.end, seconds - 0.1 * (this.to - this.from), this.to - this.from));
    return true;
  }

  /** Where a second is in the view, 0 to 1 inside it. */
  share(seconds) { return (seconds - this.from) / (this.to - this.from); }
  secondAt(share) { return this.from + share * (this.to - this.from); }
}

/** Largest value in each of `columns` even parts of the stretch [from, to) of values, 0 to 1 of their whole. */
export function largest(values, from, to, columns) {
  const found = new Uint8Array(columns);
  const step = ((to - from) * values.length) / columns;
  for (let i = 0; i < columns; i++) {
    const first = Math.max(0, Math.floor(from * values.length + i * step));
    const last = Math.min(values.length, Math.max(first + 1, Math.ceil(from * values.length + (i + 1) * step)));
    for (let k = first; k < last; k++) if (values[k] > found[i]) found[i] = values[k];
  }
  return found;
}

/** Values and coarser and coarser outlines of them: each has the largest of four of the one before. @param {Uint8Array} values */
export function pyramid(values) {
  const levels = [values];
  for (let last = values; last.length > 4096; last = /** @type {Uint8Array} */ (levels.at(-1))) levels.push(largest(last, 0, 1, Math.ceil(last.length / 4)));
  return levels;
}

/** As `largest`, of the coarsest level that has four values or more for a column: two hours cost no more than a minute. */
export const outlined = (levels, from, to, columns) =>
  largest(levels.findLast((values) => (to - from) * values.length >= 4 * columns) ?? levels[0], from, to, columns);
