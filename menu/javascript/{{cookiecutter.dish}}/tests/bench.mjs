/** What is shipped and how quick it is, in JSON. */
import { readdirSync, readFileSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";
import { MODEL } from "../build/package/build/model.js";
import { launch, serve } from "./browser.mjs";
import { FEATURES, rows } from "./rows.mjs";

const median = (numbers) => numbers.toSorted((one, other) => one - other)[numbers.length >> 1];
const features = { ...rows[0].features };
for (const name in features) {
  if (FEATURES[name].kind === "datetime") features[name] = new Date(features[name] * 1000);
}

/** Microseconds for one row, by a module that exports `predictor`. */
async function perRow({ module, features }) {
  const { predictor } = await import(module);
  const start = performance.now();
  for (let count = 0; count < 5000; count++) await predictor.predict(features);
  return (performance.now() - start) / 5;
}

/** Milliseconds from the start of loading the page to the first answer. */
async function first(page, url) {
  await page.goto(url, { waitUntil: "commit" });
  const module = await page.locator("script").evaluate((script) => script.src);
  return page.evaluate(
    async ([module, features]) => {
      await (await import(module)).predictor.predict(features);
      return performance.now();
    },
    [module, features],
  );
}

const server = await serve();
const browser = await launch();
const [fresh, again] = [[], []];
let inBrowser;
for (let count = 0; count < 5; count++) {
  const context = await browser.newContext();
  const page = await context.newPage();
  fresh.push(await first(page, server.url));
  await page.evaluate(() => navigator.serviceWorker.ready);
  again.push(await first(page, server.url));
  const module = await page.locator("script").evaluate((script) => script.src);
  inBrowser = await page.evaluate(perRow, { module, features });
  await context.close();
}
await browser.close();
await server.stop();
const shipped = readdirSync("build/site").map((name) => {
  const content = readFileSync(`build/site/${name}`);
  const sizes = { bytes: content.length, brotli_bytes: brotliCompressSync(content).length };
  return [name.replace(/-[A-Z0-9]{8}\./, "."), sizes];
});
const native = await perRow({ module: new URL("phone.mjs", import.meta.url).href, features });
const report = {
  version: MODEL.version,
  shipped: Object.fromEntries(shipped),
  first_answer_ms: { first_visit: median(fresh), later_visit: median(again) },
  row_us: { chromium: inBrowser, native },
};
console.log(JSON.stringify(report, null, 2));
