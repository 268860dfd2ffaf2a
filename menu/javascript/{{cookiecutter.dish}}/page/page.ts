/** The page: a field for each feature, and the prediction as you type. */
import * as ort from "onnxruntime-web/wasm";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm";
import file from "../build/model.onnx";
import { MODEL } from "../build/model.js";
import { encode, Predictor } from "../src/predictor.js";

export { encode };

const output = document.querySelector("output")!;
const fields = MODEL.features.map((feature) => ({ ...feature, field: add(feature) }));

/** A new field in the form; names and values are put there as text, never as HTML. */
function add({ name, kind, optional, known }: (typeof MODEL.features)[number]): HTMLInputElement {
  const [label, field] = [document.createElement("label"), document.createElement("input")];
  if (kind === "datetime") Object.assign(field, { type: "datetime-local", step: "any" });
  if (kind === "float" || kind === "int") field.inputMode = "decimal";
  const list = document.createElement("datalist");
  list.append(...(known ?? []).map((value) => new Option(value, value)));
  list.id = `known-${name}`;
  field.setAttribute("list", list.id);
  label.append(optional ? `${name} (optional)` : name, field);
  document.querySelector("form")!.append(label, list);
  return field;
}

/** What is typed into a field; text that is no value stays as it is, for the error to show. */
function read({ value: text, validity }: HTMLInputElement, kind: string): unknown {
  if (!text.trim()) return validity.badInput ? "incomplete" : null;
  if (kind === "datetime") return new Date(text);
  if (kind === "bool") return text === "true" || (text !== "false" && text);
  return kind === "category" || Number.isNaN(Number(text)) ? text : Number(text);
}

async function show(): Promise<void> {
  const values = fields.map(({ name, kind, field }) => [name, read(field, kind)]);
  try {
    const prediction = { ...(await predictor.predict(Object.fromEntries(values))) };
    const { metadata, probabilities, ...target }: Record<string, unknown> = prediction;
    const rows = [target, probabilities ?? {}, metadata].flatMap((part) => Object.entries(part!));
    const shown = (it: unknown) => (typeof it === "number" ? Number(it.toPrecision(6)) : it);
    output.textContent = rows.map(([name, value]) => `${name}: ${shown(value)}`).join("\n");
  } catch (error) {
    output.textContent = (error as Error).message;
  }
}

/** Keep the files of this page, and no other, for when there is no network. */
async function keep(): Promise<void> {
  const loaded = performance.getEntriesByType("resource").map((each) => each.name);
  const files = new Set([location.origin + location.pathname, ...loaded]);
  const cache = await caches.open(location.pathname);
  await cache.addAll([...files]);
  for (const { url } of await cache.keys()) if (!files.has(url)) await cache.delete(url);
  await navigator.serviceWorker.register("worker.js");
}

// More threads would need headers of the server, and make no row quicker.
Object.assign(ort.env.wasm, { numThreads: 1, wasmPaths: { wasm: `${new URL(wasm, import.meta.url)}` } });
const session = await ort.InferenceSession.create(new URL(file, import.meta.url).href);
export const predictor = new Predictor(session, ort.Tensor);
document.addEventListener("input", show);
await show();
if (isSecureContext) void keep(); // browsers have service workers for https and localhost alone
