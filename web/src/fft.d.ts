declare module "fft.js" {
  /** A complex transform of `size` points, a power of two. Complex arrays hold real and imaginary parts in turn. */
  export default class FFT {
    constructor(size: number);
    createComplexArray(): number[];
    realTransform(out: number[] | Float64Array, data: ArrayLike<number>): void;
  }
}
