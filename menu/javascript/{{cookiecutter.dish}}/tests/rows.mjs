/** The rows on which this must predict as scikit-learn does, written by `model parity`. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { MODEL } from "../build/package/build/model.js";

export const rows = readFileSync("build/parity.jsonl", "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

/** Each feature by its name. */
export const FEATURES = Object.fromEntries(MODEL.features.map((each) => [each.name, each]));

/** The names of the features of this kind. */
export const named = (kind) => Object.keys(FEATURES).filter((name) => FEATURES[name].kind === kind);

/**
 * The predictions for all rows, by a module that exports `predictor` and `encode`.
 *
 * A Date knows milliseconds, and some rows lie closer to a threshold; the graph is given their
 * moments as they are. It runs in a browser, too, and so uses nothing but its arguments.
 */
export async function predictAll({ module, rows, moments }) {
  const { predictor, encode } = await import(module);
  const predictions = [];
  for (const { features } of rows) {
    const given = { ...features };
    const exact = moments.filter((name) => features[name] !== null);
    for (const name of exact) given[name] = new Date(features[name] * 1000);
    if (exact.every((name) => given[name] / 1000 === features[name])) {
      predictions.push(await predictor.predict(given));
    } else {
      const seconds = Object.fromEntries(exact.map((name) => [name, features[name]]));
      predictions.push(await predictor.run({ ...encode(given), ...seconds }));
    }
  }
  return predictions;
}

/** Fails unless these are the predictions for all rows, as `relative_error` in `model` has it. */
export function assertSame(predictions) {
  const numbers = (row) => Object.values(row.probabilities ?? { it: row[MODEL.target.name] });
  assert.ok(rows.length > 100);
  assert.equal(predictions.length, rows.length);
  const all = rows.flatMap((row) => numbers(row.expected));
  const largest = all.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  const floor = largest * (all.every((each) => Math.fround(each) === each) ? 1 : 1e-7);
  const names = (row) => Object.keys(row.probabilities ?? {});
  const target = MODEL.target.name;
  for (const [index, { features, expected }] of rows.entries()) {
    const { metadata, ...found } = predictions[index];
    const told = JSON.stringify({ features, expected, found });
    assert.equal(metadata.model_version, MODEL.version);
    assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort(), told);
    if (MODEL.classes.length) assert.equal(found[target], expected[target], told);
    assert.deepEqual(names(found), names(expected));
    for (const [place, right] of numbers(expected).entries()) {
      const off = Math.abs(numbers(found)[place] - right) / Math.max(Math.abs(right), floor);
      assert.ok(off <= 1e-5, told);
    }
  }
}
