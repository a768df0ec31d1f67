// Bundles the package into dist/: the API, the worker, the WebAssembly of ONNX Runtime and of the resampler, the model that ships, and
// the licences of all that.

import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";

import { build } from "esbuild";

const ORT = "node_modules/onnxruntime-web/dist/";
const SPEEX = "node_modules/@echogarden/speex-resampler-wasm/wasm/";
const MODEL = "../src/whoplays/pretrained/default/";
const TERMS = /permission is hereby granted|redistribution and use|Mozilla Public License|Lesser General Public License/i;
const LIBAVCODEC = `FFmpeg's libavcodec is compiled in, LGPL-2.1-or-later: that licence stands in this file at @audio/decode-wma. Its source is at
https://github.com/FFmpeg/FFmpeg; how it is built, in the README and src/ of the package @mediabunny/ac3.`;
/** Fetched when a file comes that needs them; see src/foreign.ts and src/ac3.ts. */
const DECODERS = {
  "decode-wavpack": "@audio/decode-wavpack",
  "decode-wma": "@audio/decode-wma",
  "decode-ac3": "./node_modules/@mediabunny/ac3/dist/modules/src/codec.worker.js",
};

/** @mediabunny/ac3 ships one of its files half as a CommonJS, half as an ES module. */
const asModule = {
  name: "as-module",
  setup: ({ onLoad }) => onLoad({ filter: /ac3\/dist\/modules\/build\/ac3\.js$/ }, async ({ path }) => {
    const text = await readFile(path, "utf8");
    return { contents: text.replace(/^Object\.defineProperty\(exports.*$/m, "").replace(/^exports\.default = /m, "export default ") };
  }),
};

await rm("dist", { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: { index: "src/index.ts", worker: "src/worker.ts", ...DECODERS }, outdir: "dist", bundle: true, format: "esm", platform: "browser", charset: "utf8",
  target: "es2022", minify: true, legalComments: "linked", external: ["module"], logLevel: "warning", metafile: true, plugins: [asModule],
});
await mkdir("dist/model");
await cp(`${SPEEX}speex-resampler-simd.wasm`, "dist/speex-resampler-simd.wasm");
await cp(`${ORT}ort-wasm-simd-threaded.wasm`, "dist/ort-wasm-simd-threaded.wasm");
for (const name of ["config.json", "model.onnx", "card.md"]) await cp(MODEL + name, `dist/model/${name}`);
const bundled = Object.keys(metafile.inputs).flatMap((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []);
await writeFile("dist/LICENCES.txt", (await Promise.all([...new Set(bundled)].sort().map(licence))).join("\n\n"));

/** Return a bundled package's name, version and licence: its own files, the part of its README, and what licences/ has. */
async function licence(name) {
  const folder = `node_modules/${name}/`;
  const { version, license } = JSON.parse(await readFile(`${folder}package.json`, "utf8"));
  const readme = await readFile(`${folder}README.md`, "utf8");
  const about = readme.slice(Math.max(0, readme.search(/^#+ *licen[cs]e/im))); // where the source of what is compiled in is, too
  const files = (await readdir(folder)).filter((one) => /^(licen[cs]e|copying)/i.test(one)).sort();
  const texts = await Promise.all(files.map((file) => readFile(folder + file, "utf8")));
  if (!texts.length || texts.length > 1) texts.push(about);
  if (name === "@mediabunny/ac3") texts.push(LIBAVCODEC);
  let text = texts.join("\n\n");
  if (name.startsWith("onnxruntime")) {
    text = await readFile("licences/onnxruntime.txt", "utf8"); // the npm package has a link alone
    if (!text.startsWith(`ONNX Runtime ${version}:`)) throw new Error(`licences/onnxruntime.txt is not of ${version}: put LICENSE and ThirdPartyNotices.txt of that release there`);
  }
  if (!TERMS.test(text)) throw new Error(`${name}: its licence was not found`);
  return `${name} ${version} (${license})\n\n${text.trim()}`;
}
