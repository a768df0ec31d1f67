// A ZIP archive of small text files, not compressed (APPNOTE 6.3.9, sections 4.3.7, 4.3.12 and 4.3.16).

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let c = 0xffffffff;
  for (const byte of bytes) c = TABLE[(c ^ byte) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

/** Names that occur twice get a number; a name can climb out of no folder. @param {string[]} names */
export function distinct(names) {
  const seen = new Set();
  return names.map((name) => {
    const safe = name.replaceAll("\\", "/").split("/").filter((part) => part && part !== "." && part !== "..").join("/") || "recording";
    let free = safe;
    for (let n = 2; seen.has(free.toLowerCase()); n++) free = safe.replace(/(\.[^./]*)?$/, ` (${n})$1`);
    seen.add(free.toLowerCase());
    return free;
  });
}

/** @param {[string, string][]} files name and text @returns {Blob} */
export function zip(files) {
  const encoder = new TextEncoder();
  const names = distinct(files.map(([name]) => name));
  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const directory = [];
  let at = 0;
  files.forEach(([, text], i) => {
    const [name, content] = [encoder.encode(names[i]), encoder.encode(text)];
    // Version 2.0, names in UTF-8, stored; the date is 1 January 1980.
    const common = [20, 0, 0, 8, 0, 0, 0, 0, 33, 0, ...word(crc32(content)), ...word(content.length), ...word(content.length), ...half(name.length), 0, 0];
    const head = Uint8Array.from([0x50, 0x4b, 3, 4, ...common]);
    parts.push(head, name, content);
    directory.push(Uint8Array.from([0x50, 0x4b, 1, 2, 20, 0, ...common, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...word(at), ...name]));
    at += head.length + name.length + content.length;
  });
  const size = directory.reduce((sum, entry) => sum + entry.length, 0);
  const end = [0x50, 0x4b, 5, 6, 0, 0, 0, 0, ...half(files.length), ...half(files.length), ...word(size), ...word(at), 0, 0];
  return new Blob([...parts, ...directory, Uint8Array.from(end)], { type: "application/zip" });
}

const half = (/** @type {number} */ n) => [n & 255, (n >>> 8) & 255];
const word = (/** @type {number} */ n) => [...half(n & 0xffff), ...half(n >>> 16)];
