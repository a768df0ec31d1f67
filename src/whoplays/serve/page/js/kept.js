// Results kept over a reload, in this browser (IndexedDB): what was recognised, never the sound.
// Where nothing can be kept (private windows, full disks), the page works all the same.

const STORES = ["results", "details", "hidden"]; // hidden: keys of what was removed, as long as that can be undone

/** @type {Promise<IDBDatabase> | null} */
let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("whoplays", 2);
    request.onupgradeneeded = () => { for (const store of STORES) if (!request.result.objectStoreNames.contains(store)) request.result.createObjectStore(store); };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

/** Do something with the stores; null where they cannot be used. */
async function use(mode, act) {
  try {
    const change = (await open()).transaction(STORES, mode);
    const request = act(...STORES.map((store) => change.objectStore(store)));
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
  use("readwrite", (results, pictures, hidden) => { results.put({ key, name, added, result }, key); hidden.delete(key); return pictures.put(details, key); });

/** All kept results, without what only pictures need, the newest first. */
export async function recall() {
  const gone = await use("readonly", (_results, _pictures, hidden) => hidden.getAllKeys());
  if (gone?.length) await forget(gone); // removed, and never brought back before the page was closed
  const found = await use("readonly", (results) => results.getAll());
  return Array.isArray(found) ? found.sort((a, b) => b.added - a.added) : [];
}

export const detailsOf = (key) => use("readonly", (_, pictures) => pictures.get(key));
export const forget = (keys) => use("readwrite", (...stores) => { for (const key of keys) for (const store of stores) store.delete(key); });

/** Take results away, in a way that can be undone until `forget`. */
export const hide = (keys) => use("readwrite", (_results, _pictures, hidden) => { for (const key of keys) hidden.put(true, key); });

/** Undo `hide`: one small change, which even a reload at once cannot cut short. */
export const unhide = () => use("readwrite", (_results, _pictures, hidden) => hidden.clear());
