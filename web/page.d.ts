// What an audio worklet finds around it (pcm.js); TypeScript's library of the DOM does not have it.

declare const sampleRate: number;
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
