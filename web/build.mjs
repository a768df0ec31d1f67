// Bundles the package into dist/: the API, the worker, the WebAssembly of ONNX Runtime and of the resampler, and the model that ships.

import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";

import { build } from "esbuild";

const ORT = "node_modules/onnxruntime-web/dist/";
const SPEEX = "node_modules/@echogarden/speex-resampler-wasm/wasm/";
const MODEL = "../src/whoplays/pretrained/default/";

await rm("dist", { recursive: true, force: true });
await build({
  entryPoints: ["src/index.ts", "src/worker.ts"], outdir: "dist", bundle: true, format: "esm", platform: "browser",
  target: "es2022", minify: true, legalComments: "linked", external: ["module"], logLevel: "warning",
});
await mkdir("dist/model");
await cp(`${SPEEX}speex-resampler-simd.wasm`, "dist/speex-resampler-simd.wasm");
await cp(`${ORT}ort-wasm-simd-threaded.wasm`, "dist/ort-wasm-simd-threaded.wasm");
for (const name of ["config.json", "model.onnx", "card.md"]) await cp(MODEL + name, `dist/model/${name}`);
await writeFile("dist/LICENCES.txt", (await Promise.all(Object.keys(JSON.parse(await readFile("package.json", "utf8")).dependencies).map(licence))).join("\n\n"));

/** Return a dependency's name, version and licence: its own file, or the part of its README. */
async function licence(name) {
  const folder = `node_modules/${name}/`;
  const { version, license } = JSON.parse(await readFile(`${folder}package.json`, "utf8"));
  const file = (await readdir(folder)).find((one) => /^(licen[cs]e|copying)/i.test(one));
  const text = await readFile(folder + (file ?? "README.md"), "utf8");
  return `${name} ${version} (${license})\n\n${file ? text : text.slice(Math.max(0, text.search(/^#+ *licen[cs]e/im)))}`.trim();
}
