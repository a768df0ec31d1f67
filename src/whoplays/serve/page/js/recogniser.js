// The one door between the page and what recognises: a server (server.js), or a model in the browser.
// An entry module chooses one and starts the page with it: start(recogniser), see main.js.

/**
 * @typedef {{id: string, parent: string | null, en: string, pl: string, colour: string, threshold: number, maybe: number}} Label
 *   maybe: the lower threshold, from which on a label may play.
 * @typedef {{position: number, precision: number, recall: number}} OperatingPoint
 *   position: of the control, -1 (fewer mistakes) to 1 (misses nothing); precision, recall: measured on real songs.
 * @typedef {{model: string, version: string, labels: Label[], limits: {mb: number, minutes: number}, points: OperatingPoint[]}} About
 * @typedef {{label: string, start: number, end: number, score: number}} Segment
 * @typedef {{code: string, message: string, advice: string}} Warning
 * @typedef {{start: number, end: number, peaks: Uint8Array, frame_scores: Record<string, Uint8Array>, segments: Segment[]}} Details
 *   start, end: seconds analysed. peaks: largest levels of even parts, 255 is full scale. frame_scores: scores over time on an even grid,
 *   255 is 1. segments: of every label that any position of the control can show, as if it played.
 * @typedef {{path: string, duration: number, sample_rate: number, model: string, scores: Record<string, number>, playing: string[], maybe: string[], segments: Segment[], warnings: Warning[], details: Details}} Prediction
 *   The object of the command's JSON line, and `details` for pictures.
 * @typedef {{sent?: number, analysed?: number, duration?: number | null}} Progress
 *   sent: share of the file that is on its way, 0 to 1 (1 at once where nothing is sent). analysed, duration: seconds.
 * @typedef {{push: (samples: Float32Array) => void, close: () => void}} Stream
 * @typedef {{name: string, playing?: [string, number, number][]}} Example
 *
 * @typedef {object} Recogniser
 * @property {() => Promise<About>} labels What it recognises and its limits. Rejects with `Trouble`.
 * @property {(file: File, how: {onProgress: (progress: Progress) => void, signal: AbortSignal}) => Promise<Prediction>} predict
 *   Rejects with `Trouble`: kind "stopped" after the signal, "busy" (with retryAfter) where it may be tried again.
 * @property {(sampleRate: number, onScores: (scores: Record<string, number>, at: number) => void) => Promise<Stream>} stream
 *   Scores of microphone samples about once a second; at: seconds since the stream began.
 * @property {() => Promise<Example[]>} examples Recordings to try; may be none.
 * @property {(name: string) => Promise<Blob>} example The sound of one of them.
 * @property {((token: string) => void) | undefined} [authorise] Sets the token that a server asks for.
 * @property {boolean} local Whether nothing leaves this machine.
 */

/**
 * The examples that lie beside the page.
 * @param {(path: string) => Promise<Response>} get
 */
export const examplesFrom = (get) => ({
  examples: async () => (await get("examples/index.json")).json(),
  example: async (/** @type {string} */ name) => (await get(`examples/${name}`)).blob(),
});

/** What went wrong. kind: "away", "stopped", "unauthorised", or a server's own word ("busy", "too-large", "not-a-recording"). */
export class Trouble extends Error {
  /** @param {string} kind @param {string} [detail] for people @param {number} [retryAfter] seconds */
  constructor(kind, detail = "", retryAfter = 0) {
    super(detail);
    this.kind = kind;
    this.retryAfter = retryAfter;
  }
}
