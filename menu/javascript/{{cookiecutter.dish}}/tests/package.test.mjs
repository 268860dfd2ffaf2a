import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MODEL } from "../build/package/build/model.js";
import { encode, FeatureError, Predictor, predictor, Tensor } from "./phone.mjs";
import { assertSame, FEATURES, named, predictAll, rows } from "./rows.mjs";

const names = Object.keys(FEATURES);
const GOOD = { float: 1.5, int: 2, bool: true, category: "日本", datetime: new Date(0) };
const BAD = {
  float: ["1.5", true, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 1n, [1]],
  int: ["2", 2.5, 2 ** 53 + 2],
  bool: ["true", 1],
  category: [1, "", "x".repeat(201), "a\u200bb", "a\nb", "\ud800"],
  datetime: ["2026-11-27", 0, new Date(Number.NaN), new Date(8.64e15)],
};
const good = Object.fromEntries(names.map((name) => [name, GOOD[FEATURES[name].kind]]));
const without = (name) => Object.fromEntries(Object.entries(good).filter(([each]) => each !== name));

/** The error of these features names the feature and the fault. */
function assertFault(features, feature, fault) {
  assert.throws(
    () => encode(features),
    (error) =>
      error instanceof FeatureError &&
      error.feature === feature &&
      error.message.startsWith(`${feature}: `) &&
      fault.test(error.message),
  );
}

test("the native runtime of phones predicts as scikit-learn does", async () => {
  const module = new URL("phone.mjs", import.meta.url).href;
  assertSame(await predictAll({ module, rows, moments: named("datetime") }));
});

test("a feature of another kind is refused by name", () => {
  for (const name of names) {
    const { kind } = FEATURES[name];
    for (const value of BAD[kind]) {
      assertFault({ ...good, [name]: value }, name, / is \w+ ".*", expected /);
    }
  }
});

test("a feature may be left out, undefined or null where the contract says so", async () => {
  for (const name of names) {
    const variants = [without(name), { ...good, [name]: undefined }, { ...good, [name]: null }];
    if (FEATURES[name].optional) {
      const [first, ...others] = await Promise.all(variants.map((each) => predictor.predict(each)));
      for (const other of others) assert.deepEqual(other, first);
    } else {
      for (const each of variants) assertFault(each, name, /missing, expected /);
    }
  }
});

test("a feature that there is not is refused by name", () => {
  for (const name of ["no_such_feature", "constructor", "__proto__", ""]) {
    const features = JSON.parse(JSON.stringify({ ...good, it: 1 }).replace('"it"', `"${name}"`));
    assertFault(features, name, /unknown, expected /);
  }
});

test("values at the limits are taken", () => {
  const LIMITS = {
    float: [-0.0, 2 ** 53 - 1],
    int: [-(2 ** 53), 2 ** 53, 4.0],
    bool: [false],
    category: ["🚀".repeat(200), "</script>", "constructor"],
    datetime: [new Date("0001-01-01T00:00:00Z"), new Date("9999-12-31T23:59:59Z")],
  };
  for (const name of names) {
    for (const value of LIMITS[FEATURES[name].kind]) encode({ ...good, [name]: value });
  }
});

test("the package does not take the file of another version", () => {
  const session = { outputNames: ["0123456789ab"], run: () => assert.fail() };
  assert.throws(() => new Predictor(session, Tensor), new RegExp(MODEL.version));
});

test("the types know the names, the kinds and what may be missing", () => {
  const code = (kind) =>
    ({ float: "1.5", int: "2", bool: "true", category: '"x"', datetime: "new Date(0)" })[kind];
  const all = (own) =>
    names.map((name) => own(name) ?? `${name}: ${code(FEATURES[name].kind)}, `);
  const literal = (own = () => undefined) => `{ ${all(own).join("")} }`;
  const leftOut = (name) => (FEATURES[name].optional ? "" : undefined);
  const lines = [
    'import type { Features, Prediction } from "./package/src/predictor.js";',
    `export const good: Features = ${literal()};`,
    `export const required: Features = ${literal(leftOut)};`,
    "// @ts-expect-error",
    "export const unknown: Features = { ...good, no_such_feature: 1 };",
    "export const version = (answer: Prediction): string => answer.metadata.model_version;",
    `export const target = (answer: Prediction) => answer.${MODEL.target.name};`,
    "// @ts-expect-error",
    "export const other = (answer: Prediction) => answer.no_such_target;",
  ];
  for (const [index, name] of names.entries()) {
    const wrong = literal((each) => (each === name ? `${name}: [], ` : undefined));
    lines.push("// @ts-expect-error", `export const wrong${index}: Features = ${wrong};`);
    if (FEATURES[name].optional) continue;
    const missing = literal((each) => (each === name ? "" : undefined));
    lines.push("// @ts-expect-error", `export const missing${index}: Features = ${missing};`);
  }
  writeFileSync("build/types.ts", `${lines.join("\n")}\n`);
  const options = "--ignoreConfig --noEmit --strict --target es2022 --module esnext";
  const command = [...options.split(" "), "--moduleResolution", "bundler", "build/types.ts"];
  execFileSync("node_modules/.bin/tsc", command, { stdio: "inherit" });
});

test("a store without a version is refused in one line", () => {
  const env = { ...process.env, MODEL_STORE: mkdtempSync(join(tmpdir(), "store-")) };
  const { status, stderr } = spawnSync("make", ["--silent", "able"], { env, encoding: "utf8" });
  assert.notEqual(status, 0);
  assert.match(stderr, /^javascript: .+\n(make.*: .+\n)?$/);
});
