// In the audio thread: gathers the microphone's samples and hands them over a tenth of a second at a time.

class Pcm extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.round(sampleRate / 10);
    this.held = new Float32Array(this.size);
    this.at = 0;
  }

  process([channels]) {
    const samples = channels[0];
    if (!samples) return true;
    for (const sample of samples) {
      this.held[this.at++] = sample;
      if (this.at === this.size) {
        this.port.postMessage(this.held, [this.held.buffer]);
        this.held = new Float32Array(this.size);
        this.at = 0;
      }
    }
    return true;
  }
}

registerProcessor("pcm", Pcm);
