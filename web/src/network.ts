// The model folder's network, run by ONNX Runtime Web: by WebAssembly, or on the graphics processor on request.
// Its bytes must have the checksum that config.json names.

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import * as ort from "onnxruntime-web/wasm";

import type { ModelConfig } from "./config.js";
import { WhoplaysError } from "./errors.js";
import type { Table } from "./features.js";

/** What the network gives for one window: (steps, outputs), row after row. */
export interface Found {
  logits: Float32Array;
  attention: Float32Array | null;
  /** (steps, width), if requested. */
  embedding: Float32Array | null;
  steps: number;
  outputs: number;
}

/** What runs the network. */
export type Device = "wasm" | "webgpu";

/** Where ONNX Runtime's WebAssembly is, and how many threads it may use (more than one: in isolated pages alone). */
export interface Runtime {
  wasm?: string;
  threads?: number;
}

ort.env.wasm.numThreads = 1; // until `prepare` says otherwise
const OPTIONS: ort.InferenceSession.SessionOptions = { executionProviders: ["wasm"], logSeverityLevel: 4 };

/** Return SHA-256 in hexadecimal; browsers have their own on https and localhost alone. */
async function checksum(content: Uint8Array): Promise<string> {
  const { subtle } = globalThis.crypto ?? {};
  return bytesToHex(subtle ? new Uint8Array(await subtle.digest("SHA-256", content.slice())) : sha256(content));
}

/** Begin to fetch and compile ONNX Runtime, which takes longer than to fetch a model; `Network.open` waits for it. */
export function prepare({ wasm, threads = 1 }: Runtime): void {
  ort.env.wasm.numThreads = threads;
  if (wasm) ort.env.wasm.wasmPaths = { wasm };
  ort.InferenceSession.create(new Uint8Array(0), OPTIONS).catch(() => {}); // it has no other way to begin
}

/** Whether there is a graphics processor that pages may compute on. */
export async function hasGraphics(): Promise<boolean> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<unknown> } };
  return Boolean(await gpu?.requestAdapter().catch(() => null));
}

/** Return ONNX Runtime with WebGPU, of `dist/` of the npm package onnxruntime-web. Throws `WhoplaysError`. */
async function graphics(folder: string): Promise<typeof ort> {
  const name = "ort.webgpu.min.mjs";
  const found = await import(/* @vite-ignore */ new URL(name, folder).href).catch((error: unknown) => {
    throw new WhoplaysError("model", "missing", { name, status: String(error).slice(0, 200) });
  }) as typeof ort;
  Object.assign(found.env.wasm, { numThreads: 1, wasmPaths: folder });
  return found;
}

export class Network {
  private constructor(private readonly session: ort.InferenceSession, readonly device: Device) {}

  /** Check and open the bytes of model.onnx. webgpu: where ONNX Runtime with WebGPU is, to use that. Throws `WhoplaysError`. */
  static async open(content: Uint8Array, config: ModelConfig, webgpu?: string): Promise<Network> {
    if (await checksum(content) !== config.sha256["model.onnx"]) {
      throw new WhoplaysError("model", "checksum");
    }
    const { InferenceSession } = webgpu ? await graphics(webgpu) : ort;
    const device = webgpu ? "webgpu" : "wasm";
    try {
      return new Network(await InferenceSession.create(content, { ...OPTIONS, executionProviders: [device] }), device);
    } catch (error) {
      throw new WhoplaysError("model", "network", { why: String(error).slice(0, 200) });
    }
  }

  /** Values of an embedding; 0 where the network gives none. */
  get embeddingWidth(): number {
    const output = this.session.outputMetadata.find(({ name }) => name === "embedding");
    return output?.isTensor ? Number(output.shape.at(-1)) : 0;
  }

  /** Run the network on the features of one window. */
  async run({ data, rows, columns }: Table, embed = false): Promise<Found> {
    const input = new ort.Tensor("float32", data, [1, rows, columns]);
    const wanted = this.session.outputNames.filter((name) => embed || name !== "embedding");
    const found = await this.session.run({ features: input }, wanted);
    const logits = found.frame_logits ?? found.logits;
    const [outputs, steps] = [logits.dims.at(-1)!, logits.dims.length === 3 ? logits.dims[1] : 1];
    const attention = (found.attention?.data as Float32Array | undefined) ?? null;
    const embedding = (found.embedding?.data as Float32Array | undefined) ?? null;
    return { logits: logits.data as Float32Array, attention, embedding, steps, outputs };
  }

  async close(): Promise<void> {
    await this.session.release();
  }
}
