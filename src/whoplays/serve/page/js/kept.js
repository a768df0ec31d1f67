// Results kept over a reload, in this browser (IndexedDB): what was recognised, never the sound.
// Where nothing can be kept (private windows, full disks), the page works all the same.

const STORES = ["results", "details"];
const HIDDEN = "whoplays-hidden"; // in local storage, which a reload cannot cut short: keys of what was removed, as long as that can be undone

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
  use("readwrite", (results, pictures) => { results.put({ key, name, added, result }, key); setHidden(hidden().filter((one) => one !== key)); return pictures.put(details, key); });

/** All kept results, without what only pictures need, the newest first. */
export async function recall() {
  await forget(hidden()); // removed, and never brought back before the page was closed
  const found = await use("readonly", (results) => results.getAll());
  return Array.isArray(found) ? found.sort((a, b) => b.added - a.added) : [];
}

export const detailsOf = (key) => use("readonly", (_, pictures) => pictures.get(key));

export async function forget(keys) {
  await use("readwrite", (...stores) => { for (const key of keys) for (const store of stores) store.delete(key); });
  setHidden(hidden().filter((key) => !keys.includes(key)));
}

/** Take results away, in a way that can be undone until `forget`. */
export const hide = (keys) => setHidden([...hidden(), ...keys]);

/** Undo `hide`. */
export const unhide = () => setHidden([]);

/** @returns {string[]} */
function hidden() {
  try {
    return JSON.parse(localStorage.getItem(HIDDEN) ?? "[]");
  } catch {
    return [];
  }
}

/** @param {string[]} keys */
function setHidden(keys) {
  try {
    if (keys.length) localStorage.setItem(HIDDEN, JSON.stringify(keys));
    else localStorage.removeItem(HIDDEN);
  } catch {} // nothing can be kept here: then nothing has to be hidden either
}
