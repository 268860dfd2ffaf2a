/** The page: a field for each feature, and the prediction as you type. */
import * as ort from "onnxruntime-web/wasm";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm";
import file from "../build/model.onnx";
import { MODEL } from "../build/model.js";
import { encode, FeatureError, Predictor } from "../src/predictor.js";
import "./page.css";

export { encode };

const TYPES: Record<string, object> = {
  float: { inputMode: "decimal" },
  int: { inputMode: "numeric" },
  datetime: { type: "datetime-local", step: "any" },
};
const features = Object.entries(MODEL.features);
const fields = new Map(features.map(([name]) => [name, document.createElement("input")]));
const output = document.querySelector("output")!;

/** Put the fields into the page; names and values as text, never as HTML. */
function fill(): void {
  for (const [name, { kind, optional, known }] of features) {
    const [label, list] = [document.createElement("label"), document.createElement("datalist")];
    list.id = `known-${name}`;
    list.append(...known.map((value) => new Option(value, value)));
    Object.assign(fields.get(name)!, TYPES[kind]).setAttribute("list", list.id);
    label.append(optional ? `${name} (optional)` : name, fields.get(name)!);
    document.querySelector("form")!.append(label, list);
  }
  document.querySelector("footer")!.textContent = `version ${MODEL.version}`;
}

/** What is typed into a field; text that is no value stays as it is, for the error to show. */
function read(field: HTMLInputElement, kind: string): unknown {
  const text = field.validity.badInput ? "incomplete" : field.value;
  if (!text.trim()) return null;
  if (kind === "bool") return { true: true, false: false }[text] ?? text;
  if (kind === "datetime") return new Date(text);
  return kind === "category" || Number.isNaN(Number(text)) ? text : Number(text);
}

async function show(predictor: Predictor): Promise<void> {
  const values = features.map(([name, { kind }]) => [name, read(fields.get(name)!, kind)]);
  for (const field of fields.values()) field.setCustomValidity("");
  try {
    const prediction = { ...(await predictor.predict(Object.fromEntries(values))) };
    const { metadata, probabilities, ...target }: Record<string, unknown> = prediction;
    const rows = Object.entries({ ...target, ...(probabilities as object) });
    output.textContent = rows.map(([name, value]) => `${name}: ${rounded(value)}`).join("\n");
  } catch (error) {
    output.textContent = (error as Error).message;
    if (error instanceof FeatureError) fields.get(error.feature)?.setCustomValidity(error.message);
  }
}

function rounded(value: unknown): string {
  return String(typeof value === "number" ? Number(value.toPrecision(6)) : value);
}

/** Keep the files of this page, and no other, for when there is no network. */
async function keep(): Promise<void> {
  const loaded = performance.getEntriesByType("resource").map((each) => each.name);
  const files = [...new Set([location.origin + location.pathname, ...loaded])];
  const cache = await caches.open(location.pathname);
  await cache.addAll(files);
  const old = (await cache.keys()).filter((each) => !files.includes(each.url));
  await Promise.all(old.map((each) => cache.delete(each)));
  await navigator.serviceWorker.register("worker.js");
}

async function load(): Promise<Predictor> {
  ort.env.wasm.numThreads = 1; // several would need headers of the server, and make no row quicker
  ort.env.wasm.wasmPaths = { wasm: new URL(wasm, import.meta.url).href };
  const session = await ort.InferenceSession.create(new URL(file, import.meta.url).href);
  return new Predictor(session, ort.Tensor);
}

fill();
export const predictor = await load();
document.addEventListener("input", () => void show(predictor));
await show(predictor);
if (isSecureContext) void keep(); // browsers have service workers for https and localhost alone
