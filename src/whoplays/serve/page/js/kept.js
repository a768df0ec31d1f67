// Results kept over a reload, in this browser (IndexedDB): what was recognised, never the sound.
// Where nothing can be kept (private windows, full disks), the page works all the same.

const STORES = ["results", "details"];

/** @type {Promise<IDBDatabase> | null} */
let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("whoplays", 1);
    request.onupgradeneeded = () => { for (const store of STORES) request.result.createObjectStore(store); };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

/** Do something with both stores; null where they cannot be used. */
async function use(mode, act) {
  try {
    const change = (await open()).transaction(STORES, mode);
    const request = act(change.objectStore("results"), change.objectStore("details"));
    return await new Promise((resolve, reject) => {
      change.oncomplete = () => resolve(request?.result ?? true);
      change.onerror = change.onabort = () => reject(change.error);
    });
  } catch {
    return null;
  }
}

/** What a file is known by. @param {string} name @param {File} file */
export const keyOf = (name, file) => `${name}\n${file.size}\n${file.lastModified}`;

/** Keep a result. @returns whether that worked. */
export const keep = ({ key, name, added, result: { details, ...result } }) =>
  use("readwrite", (results, pictures) => { results.put({ key, name, added, result }, key); return pictures.put(details, key); });

/** All kept results, without what only pictures need, the newest first. */
export async function recall() {
  const found = await use("readwrite", (results, pictures) => {
    // What was removed, and never brought back before the page was closed.
    const keys = results.getAllKeys();
    keys.onsuccess = () => { pictures.getAllKeys().onsuccess = ({ target }) => { for (const key of target.result) if (!keys.result.includes(key)) pictures.delete(key); }; };
    return results.getAll();
  });
  return Array.isArray(found) ? found.sort((a, b) => b.added - a.added) : [];
}

export const detailsOf = (key) => use("readonly", (_, pictures) => pictures.get(key));
export const forget = (keys) => use("readwrite", (results, pictures) => { for (const key of keys) { results.delete(key); pictures.delete(key); } });

/** Take results away, in a way that can be undone until `forget`. */
export const hide = (keys) => use("readwrite", (results) => { for (const key of keys) results.delete(key); });

/** Undo `hide`. @param {any[]} items */
export const unhide = (items) => use("readwrite", (results) => { for (const { key, name, added, result: { details, ...result } } of items) results.put({ key, name, added, result }, key); });
