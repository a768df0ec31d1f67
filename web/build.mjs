// Bundles the package into dist/: the API, the worker, the WebAssembly of ONNX Runtime and of the resampler, the model that ships, and
// the licences of all that.

import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";

import { build } from "esbuild";

const ORT = "node_modules/onnxruntime-web/dist/";
const SPEEX = "node_modules/@echogarden/speex-resampler-wasm/wasm/";
const MODEL = "../src/whoplays/pretrained/default/";
const TERMS = /permission is hereby granted|redistribution and use|Mozilla Public License/i;

await rm("dist", { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: ["src/index.ts", "src/worker.ts"], outdir: "dist", bundle: true, format: "esm", platform: "browser",
  target: "es2022", minify: true, legalComments: "linked", external: ["module"], logLevel: "warning", metafile: true,
});
await mkdir("dist/model");
await cp(`${SPEEX}speex-resampler-simd.wasm`, "dist/speex-resampler-simd.wasm");
await cp(`${ORT}ort-wasm-simd-threaded.wasm`, "dist/ort-wasm-simd-threaded.wasm");
for (const name of ["config.json", "model.onnx", "card.md"]) await cp(MODEL + name, `dist/model/${name}`);
const bundled = Object.keys(metafile.inputs).flatMap((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []);
await writeFile("dist/LICENCES.txt", (await Promise.all([...new Set(bundled)].sort().map(licence))).join("\n\n"));

/** Return a bundled package's name, version and licence: its own file, the part of its README, or what licences/ has. */
async function licence(name) {
  const folder = `node_modules/${name}/`;
  const { version, license } = JSON.parse(await readFile(`${folder}package.json`, "utf8"));
  const file = (await readdir(folder)).find((one) => /^(licen[cs]e|copying)/i.test(one));
  let text = await readFile(folder + (file ?? "README.md"), "utf8");
  if (!file) text = text.slice(Math.max(0, text.search(/^#+ *licen[cs]e/im)));
  if (name.startsWith("onnxruntime")) {
    text = await readFile("licences/onnxruntime.txt", "utf8"); // the npm package has a link alone
    if (!text.startsWith(`ONNX Runtime ${version}:`)) throw new Error(`licences/onnxruntime.txt is not of ${version}: put LICENSE and ThirdPartyNotices.txt of that release there`);
  }
  if (!TERMS.test(text)) throw new Error(`${name}: its licence was not found`);
  return `${name} ${version} (${license})\n\n${text.trim()}`;
}
