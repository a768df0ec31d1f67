// The examples of docs/guides/browser.md: the page without a framework as it is, the React component as Vite builds and as it serves it.

import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { type Browser, chromium } from "playwright-core";
import { build, createServer, preview } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { host } from "./host.js";

const WEB = fileURLToPath(new URL("..", import.meta.url));
const BAND = join(WEB, "../src/whoplays/examples/band.ogg");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const guide = await readFile(join(WEB, "../docs/guides/browser.md"), "utf8");

const block = (language: string) => guide.match(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, "m"))![1];

describe.skipIf(!existsSync(CHROMIUM) || !existsSync(join(WEB, "dist/worker.js")))("the guide's examples", () => {
  let browser: Browser;
  let folder: string;

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
    folder = await mkdtemp(join(tmpdir(), "whoplays-examples-"));
    await mkdir(join(folder, "node_modules/whoplays"), { recursive: true });
    await cp(join(WEB, "dist"), join(folder, "node_modules/whoplays/dist"), { recursive: true });
    await cp(join(WEB, "package.json"), join(folder, "node_modules/whoplays/package.json"));
    for (const name of ["react", "react-dom", "scheduler"]) await symlink(join(WEB, "node_modules", name), join(folder, "node_modules", name));
    await writeFile(join(folder, "plain.html"), `<!doctype html>\n${block("html")}`);
    await writeFile(join(folder, "instruments.jsx"), block("jsx"));
    await writeFile(join(folder, "main.js"), `import { createElement } from "react";
      import { createRoot } from "react-dom/client";
      import { Instruments } from "./instruments.jsx";
      createRoot(document.getElementById("root")).render(createElement(Instruments));`);
    await writeFile(join(folder, "index.html"), '<!doctype html><div id="root"></div><script type="module" src="/main.js"></script>');
  });

  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Give a recording to a page; return what it then shows in an element. */
  async function shown(address: string, element: string, wanted: string): Promise<string> {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(address);
    await page.setInputFiles("input[type=file]", BAND);
    await page.waitForFunction(([selector, text]) => document.querySelector(selector)?.textContent?.includes(text), [element, wanted], { timeout: 120_000 });
    const found = await page.innerText(element);
    await page.close();
    expect(complaints).toEqual([]);
    return found;
  }

  const settings = (): object => ({ root: folder, configFile: false, logLevel: "error", optimizeDeps: { exclude: ["whoplays"] } });

  it("run without a framework", async () => {
    const files = await host({ "": folder });
    try {
      expect(await shown(`${files.address}plain.html`, "#answer", "guitar")).toContain("drums");
    } finally {
      files.close();
    }
  });

  it("run with React in Vite's development server", async () => {
    const server = await createServer({ ...settings(), server: { port: 0, host: "127.0.0.1", watch: null, fs: { strict: false } } });
    await server.listen();
    const [address] = server.resolvedUrls!.local;
    try {
      expect(await shown(address, "pre", "guitar")).toMatch(/^guitar [\d.]+-[\d.]+ s$/m);
    } finally {
      await server.close();
    }
  });

  it("run with React as Vite builds it", async () => {
    await build({ ...settings(), base: "./" });
    for (const part of ["decode-wma", "decode-wavpack", "decode-ac3"]) expect((await readdir(join(folder, "dist/assets"))).join(" ")).toContain(part);
    const server = await preview({ ...settings(), preview: { port: 0, host: "127.0.0.1" } });
    try {
      expect(await shown(server.resolvedUrls!.local[0], "pre", "guitar")).toMatch(/^guitar [\d.]+-[\d.]+ s$/m);
    } finally {
      await server.close();
    }
  });
}, 240_000);
