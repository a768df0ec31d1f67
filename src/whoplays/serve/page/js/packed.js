// Numbers from 0 to 1 as bytes (255 is 1), and bytes as text in base 64: lists of numbers would take many times the memory.

/** @param {Uint8Array} bytes */
export function packed(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

/** @param {string} text */
export function unpacked(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** What pictures need, as it was sent or put into a report, with its bytes unpacked. */
export const unpackedDetails = ({ peaks, frame_scores, ...rest }) =>
  ({ ...rest, peaks: unpacked(peaks), frame_scores: Object.fromEntries(Object.entries(frame_scores).map(([id, text]) => [id, unpacked(text)])) });
