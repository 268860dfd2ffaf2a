import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { MODEL } from "../build/package/build/model.js";
import { launch, serve } from "./browser.mjs";
import { assertSame, FEATURES, named, predictAll, rows } from "./rows.mjs";

const replaced = {};
const faults = [];
const requested = new Set();
let browser, context, page, server;

before(async () => {
  server = await serve(replaced);
  browser = await launch();
  context = await browser.newContext({ timezoneId: "Asia/Kolkata" });
  page = await context.newPage();
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  context.on("request", (request) => requested.add(new URL(request.url()).origin));
  await page.goto(server.url);
  await ready();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Once the page is as far as to predict. */
const ready = () => page.locator("output", { hasNotText: "is loading" }).waitFor();
const answer = () => page.locator("output").textContent();
const label = (name) => (FEATURES[name].optional ? `${name} (optional)` : name);
const field = (name) => page.getByLabel(label(name), { exact: true });

/** What a person types for a value; where they live it is half past five when it is noon in UTC. */
function typed(name, value) {
  if (value === null) return "";
  if (FEATURES[name].kind !== "datetime") return String(value);
  return new Date((value + 5.5 * 3600) * 1000).toISOString().slice(0, 19);
}

test("the page predicts while one types", async () => {
  const { features, expected } = rows[0];
  const names = Object.keys(features);
  for (const name of names) {
    if (!FEATURES[name].optional) assert.ok((await answer()).startsWith(`${name}: missing`));
    await field(name).fill(typed(name, features[name]));
  }
  await page.locator("output", { hasText: `${MODEL.target.name}: ` }).waitFor();
  const told = (await answer()).split("\n").map((line) => line.slice(line.lastIndexOf(": ") + 2));
  const version = told.pop();
  const target = expected[MODEL.target.name];
  const numbers = Object.values(expected.probabilities ?? { target });
  if (MODEL.classes.length) assert.equal(told.shift(), String(target));
  assert.equal(told.length, numbers.length);
  for (const [index, number] of numbers.entries()) {
    assert.ok(Math.abs(told[index] - number) <= 1e-5 * Math.abs(number), `${told} and ${numbers}`);
  }
  assert.equal(version, MODEL.version);
});

test("what is typed is never more than text", async () => {
  const [name] = Object.keys(FEATURES);
  const text = '<img src=x onerror="document.title = 1">';
  if (FEATURES[name].kind === "datetime") {
    await field(name).fill("");
    assert.ok((await answer()).startsWith(`${name}: missing`));
  } else {
    await field(name).fill(text);
    if (FEATURES[name].kind !== "category") assert.ok((await answer()).includes("<img src=x"));
  }
  assert.equal(await page.locator("img").count(), 0);
});

test("scripts in the page itself do not run", async () => {
  const before = faults.length;
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "globalThis.ran = true";
    document.head.append(script);
    return globalThis.ran ?? false;
  });
  assert.equal(ran, false);
  assert.match(faults.splice(before).join(), /Content Security Policy/);
});

test("what is deployed anew is seen at once, and what is kept works without a network", async () => {
  await page.evaluate(() => navigator.serviceWorker.ready);
  const html = readFileSync("build/site/index.html", "utf8");
  replaced["index.html"] = html.replace("<title>", "<title>New ");
  await page.reload();
  await ready();
  assert.match(await page.title(), /^New /);
  await page.evaluate(async () => {
    while (!/<title>New /.test(await (await caches.match("/")).text())) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  await server.stop();
  await context.setOffline(true);
  await page.reload();
  await ready();
  assert.match(await page.title(), /^New /);
  const module = await page.locator("script").evaluate((script) => script.src);
  assertSame(await page.evaluate(predictAll, { module, rows, moments: named("datetime") }));
  assert.deepEqual([...requested], [new URL(server.url).origin]);
  assert.deepEqual(faults, []);
});
