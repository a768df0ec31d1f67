// Begins to load the model before all other scripts of the page, since it takes longest: index.html names this module first.

/** @type {Promise<{version: string, recogniser: any}>} */
export const loading = import(new URL("../../runtime/index.js", import.meta.url).href).then(async (runtime) => ({
  version: runtime.version,
  recogniser: await runtime.load(),
}));
loading.catch(() => {}); // reported where it is awaited
