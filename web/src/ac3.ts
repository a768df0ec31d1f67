// AC-3 and E-AC-3 within films, which no browser decodes: by FFmpeg's decoder of @mediabunny/ac3, fetched for the first such film.
// The package begins its worker from a blob, which a strict Content-Security-Policy forbids; this begins it from its file.

import { type AudioCodec, AudioSample, CustomAudioDecoder, type EncodedPacket, registerDecoder } from "mediabunny";

import { WhoplaysError } from "./errors.js";

/** What the worker answers; see shared.ts of the package. */
interface Answer {
  ctx: number;
  pcmData: ArrayBuffer;
  format: AudioSampleFormat;
  channels: number;
  sampleRate: number;
  pts: number;
}

class Ac3Decoder extends CustomAudioDecoder {
  private worker!: Worker;
  private ctx = 0;
  private requests = 0;

  static override supports(codec: AudioCodec): boolean {
    return codec === "ac3" || codec === "eac3";
  }

  async init(): Promise<void> {
    this.worker = new Worker(new URL("./decode-ac3.js", import.meta.url), { type: "module" });
    this.ctx = (await this.ask("init-decoder", { codec: this.codec })).ctx;
  }

  async decode(packet: EncodedPacket): Promise<void> {
    const timestamp = Math.round(packet.timestamp * this.config.sampleRate);
    const { pcmData, format, channels, sampleRate, pts } = await this.ask("decode", { ctx: this.ctx, encodedData: packet.data.slice().buffer, timestamp });
    this.onSample(new AudioSample({ data: pcmData, format, numberOfChannels: channels, sampleRate, timestamp: pts / sampleRate }));
  }

  async flush(): Promise<void> {
    await this.ask("flush-decoder", { ctx: this.ctx });
  }

  close(): void {
    this.worker.terminate();
  }

  private ask(type: string, data: object): Promise<Answer> {
    const id = ++this.requests;
    return new Promise((resolve, reject) => {
      const listening = new AbortController();
      const end = (act: () => void) => {
        listening.abort();
        act();
      };
      this.worker.addEventListener("message", ({ data }) => {
        if (data.id === id) end(() => (data.success ? resolve(data.data) : reject(data.error)));
      }, listening);
      this.worker.addEventListener("error", (event) => {
        event.preventDefault(); // or it would reach the page as an error of its own
        end(() => reject(new WhoplaysError("model", "missing", { name: "decode-ac3.js", status: "-" })));
      }, listening);
      this.worker.postMessage({ id, command: { type, data } });
    });
  }
}

registerDecoder(Ac3Decoder);
