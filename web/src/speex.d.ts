declare module "@echogarden/speex-resampler-wasm/simd" {
  /** What is used of https://gitlab.xiph.org/xiph/speexdsp/-/blob/master/include/speex/speex_resampler.h; numbers are addresses. */
  export interface Speex {
    HEAPF32: Float32Array;
    _malloc(bytes: number): number;
    _free(address: number): void;
    _speex_resampler_init(channels: number, from: number, to: number, quality: number, error: number): number;
    _speex_resampler_skip_zeros(state: number): number;
    _speex_resampler_process_float(state: number, channel: number, input: number, read: number, output: number, written: number): number;
    _speex_resampler_destroy(state: number): void;
  }
  export default function speex(options: { wasmBinary: ArrayBuffer }): Promise<Speex>;
}
