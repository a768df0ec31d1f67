// Vectors of each step -> one unit vector that says how a recording sounds, equal to src/whoplays/inference/embedding.py.

import type { Table } from "./features.js";

const SILENT_LOG_MEL = 0.01; // a step whose log-mel exceeds that of silence by less is silent

/** Set the vectors (steps, width) of steps without sound to zeros, in place. */
export function silence(vectors: Float32Array, steps: number, { data, rows, columns }: Table, logOffset: number): void {
  const width = vectors.length / steps;
  let row = 0;
  for (let step = 0; step < steps; step++) {
    const end = row + Math.floor(rows / steps) + (step < rows % steps ? 1 : 0);
    let loudest = -Infinity;
    for (let i = row * columns; i < end * columns; i++) loudest = Math.max(loudest, data[i]);
    if (loudest - Math.log(logOffset) <= SILENT_LOG_MEL) vectors.fill(0, step * width, (step + 1) * width);
    row = end;
  }
}

/** Return the unit vector (width,) of the sum of vectors (steps, width); zeros stay zeros. */
export function whole(vectors: Float32Array, width: number): Float32Array {
  const sum = new Float64Array(width);
  vectors.forEach((value, i) => { sum[i % width] += value; });
  return unit(sum, width);
}

/** Return vectors (steps, width) scaled to length 1; those of zeros stay as they are. */
export function unit(vectors: Float32Array | Float64Array, width: number): Float32Array {
  const found = new Float32Array(vectors.length);
  for (let at = 0; at < vectors.length; at += width) {
    let squares = 0;
    for (let i = at; i < at + width; i++) squares += vectors[i] * vectors[i];
    const length = Math.sqrt(squares) || 1;
    for (let i = at; i < at + width; i++) found[i] = vectors[i] / length;
  }
  return found;
}
