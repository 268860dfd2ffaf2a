/**
 * The package in Chromium and, as on a phone, on the native runtime; one line of JSON.
 *
 * It takes a row at a time. Memory is what a renderer or a Node.js process has more than an empty
 * one. To phones ONNX Runtime comes with the app's build and is not counted as shipped.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";
import { launch, serve } from "./browser.mjs";
import { FEATURES, rows } from "./rows.mjs";

const STARTS = 3;
const median = (numbers) => numbers.toSorted((one, other) => one - other)[numbers.length >> 1];
const sum = (numbers) => numbers.reduce((total, each) => total + each, 0);
const features = { ...rows[0].features };
for (const name in features) {
  if (FEATURES[name].kind === "datetime") features[name] = new Date(features[name] * 1000);
}

/** Milliseconds for one row, by a module that exports `predictor`; browsers have coarse clocks. */
async function perRow({ module, features }) {
  const { predictor } = await import(module);
  const times = [];
  for (let round = 0; round < 101; round++) {
    const start = performance.now();
    for (let count = 0; count < 50; count++) await predictor.predict(features);
    times.push((performance.now() - start) / 50);
  }
  return times.sort((one, other) => one - other)[50];
}

/** Megabytes of processes, what they share by the share of each. */
function memory(pids) {
  const pss = (pid) => readFileSync(`/proc/${pid}/smaps_rollup`, "utf8").match(/^Pss: +(\d+) kB$/m);
  return sum(pids.map((pid) => (pss(pid)[1] * 1024) / 1e6));
}

/** The bytes of a file of the page with brotli, which takes half a minute; names have a hash. */
function compressed(name) {
  const kept = `build/${name}.br`;
  const brotli = () => brotliCompressSync(readFileSync(`build/site/${name}`));
  if (!name.includes("-")) return brotli().length;
  if (!existsSync(kept)) writeFileSync(kept, brotli());
  return statSync(kept).size;
}

/** The address of the page's module. */
const moduleOf = (page) => page.locator("script").evaluate((script) => script.src);

/** Seconds from the start of loading the page to the first answer. */
async function visit(page, url) {
  await page.goto(url, { waitUntil: "commit" });
  return page.evaluate(
    async ([module, features]) => {
      await (await import(module)).predictor.predict(features);
      return performance.now() / 1000;
    },
    [await moduleOf(page), features],
  );
}

async function inBrowser() {
  const server = await serve({ "empty.html": "" });
  const browser = await launch();
  const devtools = await browser.newBrowserCDPSession();
  const renderers = async () => {
    const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
    return memory(processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id));
  };
  const [fresh, again, row, more] = [[], [], [], []];
  for (let count = 0; count < STARTS; count++) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${server.url}empty.html`);
    const empty = await renderers();
    fresh.push(await visit(page, server.url));
    more.push((await renderers()) - empty);
    await page.evaluate(() => navigator.serviceWorker.ready);
    again.push(await visit(page, server.url));
    row.push(await page.evaluate(perRow, { module: await moduleOf(page), features }));
    await context.close();
  }
  await browser.close();
  await server.stop();
  const files = readdirSync("build/site");
  return {
    one_row_ms: median(row),
    rows_per_second: 1000 / median(row),
    start_seconds: median(fresh),
    memory_mb: median(more),
    shipped_mb: sum(files.map(compressed)) / 1e6,
    uncompressed_mb: sum(files.map((name) => statSync(`build/site/${name}`).size)) / 1e6,
    later_visit_seconds: median(again),
  };
}

/** Seconds from the start of a process to its first answer, and its memory then. */
async function answered(message) {
  const start = performance.now();
  const child = fork("tests/child.mjs", { serialization: "advanced" });
  child.send(message);
  await once(child, "message");
  const found = { seconds: (performance.now() - start) / 1000, mb: memory([child.pid]) };
  child.kill();
  return found;
}

async function onPhone() {
  const module = new URL("phone.mjs", import.meta.url).href;
  const row = await perRow({ module, features });
  const starts = [];
  for (let count = 0; count < STARTS; count++) starts.push(await answered({ module, features }));
  const empty = await answered({});
  const files = readdirSync("build/package", { recursive: true });
  const shipped = files.filter((name) => name !== "model.onnx");
  const sizes = shipped.map((name) => statSync(`build/package/${name}`));
  return {
    one_row_ms: row,
    rows_per_second: 1000 / row,
    start_seconds: median(starts.map(({ seconds }) => seconds)),
    memory_mb: median(starts.map(({ mb }) => mb)) - empty.mb,
    shipped_mb: sum(sizes.map((it) => (it.isFile() ? it.size : 0))) / 1e6,
  };
}

const rounded = (_, value) => (typeof value === "number" ? Number(value.toPrecision(4)) : value);
console.log(JSON.stringify({ browser: await inBrowser(), mobile: await onPhone() }, rounded));
