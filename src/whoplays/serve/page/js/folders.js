// Files from what was dropped or chosen, folders walked: of a folder only what may hold sound, named by its path.

const SOUND = /\.(wav|wave|rf64|w64|flac|ogg|oga|opus|spx|mp3|mp2|mpc|aif|aiff|aifc|au|snd|caf|m4a|m4b|m4r|aac|ac3|eac3|dts|wma|wv|ape|tta|tak|dsf|dff|amr|mka|voc|mp4|m4v|mov|mkv|webm|avi|3gp|3g2|ogv|vob|mpg|mpeg|flv|wmv)$/i;

async function walk(entry, path, found) {
  if (entry.isFile) {
    if (path && (entry.name.startsWith(".") || !SOUND.test(entry.name))) return;
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    if (file) found.push({ name: path + entry.name, file });
    return;
  }
  const reader = entry.createReader();
  const inside = [];
  for (;;) { // a reader gives at most a hundred at a time
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) break;
    inside.push(...some);
  }
  for (const one of inside.sort((a, b) => a.name.localeCompare(b.name))) await walk(one, `${path}${entry.name}/`, found);
}

/** @param {DataTransfer | null} transfer of a drop @returns {Promise<{name: string, file: File}[]>} */
export async function dropped(transfer) {
  if (!transfer) return [];
  const files = [...transfer.files]; // gone once the event is over, like the entries
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry?.isDirectory)) return files.map((file) => ({ name: file.name, file }));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

/** @param {Iterable<File>} files of an input; those of a chosen folder carry their path */
export const chosen = (files) => [...files].map((file) => ({ name: file.webkitRelativePath || file.name, file }))
  .filter(({ name, file }) => !file.webkitRelativePath || SOUND.test(name));
