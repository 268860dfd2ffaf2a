import type { InferenceSession, Tensor, TensorConstructor } from "onnxruntime-common";
import { type Features, MODEL, type Prediction } from "../build/model.js";

export type { Features, Prediction };

/** The features as the graph takes them: moments in seconds since 1970; NaN or "" if missing. */
export type Encoded = Record<string, number | string>;

/** A feature that is missing, unknown, or of another kind than expected. */
export class FeatureError extends Error {
  override readonly name = "FeatureError";
  constructor(readonly feature: string, fault: string) {
    super(`${feature}: ${fault}`);
  }
}

const TEXT = new RegExp(`^[^${MODEL.invisible}\\ud800-\\udfff]{1,200}$`, "u");
const [YEAR_1, YEAR_10000] = [-62_135_596_800_000, 253_402_300_800_000];
const IS_VALID: Record<string, (value: any) => boolean> = {
  float: (value) => Number.isFinite(value) && Math.abs(value) < 2 ** 53,
  int: (value) => Number.isInteger(value) && Math.abs(value) <= 2 ** 53,
  bool: (value) => typeof value === "boolean",
  category: (value) => typeof value === "string" && TEXT.test(value),
  datetime: (value) => value instanceof Date && +value >= YEAR_1! && +value < YEAR_10000!,
};

/** The features, checked; throws FeatureError. */
export function encode(features: Features): Encoded {
  const given = new Map<string, unknown>(Object.entries(features));
  const names = Object.keys(MODEL.features);
  for (const name of given.keys()) {
    if (!names.includes(name)) throw new FeatureError(name, `unknown, expected ${names.join(", ")}`);
  }
  const encoded: Encoded = {};
  for (const [name, { kind, optional, expected }] of Object.entries(MODEL.features)) {
    const value = given.get(name) ?? null;
    if (value === null) {
      if (!optional) throw new FeatureError(name, `missing, expected ${expected}`);
      encoded[name] = kind === "category" ? "" : Number.NaN;
    } else if (!IS_VALID[kind]?.(value)) {
      const shown = `${typeof value} ${JSON.stringify(String(value).slice(0, 40))}`;
      throw new FeatureError(name, `is ${shown}, expected ${expected}`);
    } else {
      const number = kind === "datetime" ? Number(value) / 1000 : Number(value);
      encoded[name] = typeof value === "string" ? value : number;
    }
  }
  return encoded;
}

/** Predicts on this device: `session` runs `model.ort`, `Tensor` is of the same ONNX Runtime. */
export class Predictor {
  constructor(
    private readonly session: Pick<InferenceSession, "outputNames" | "run">,
    private readonly Tensor: TensorConstructor,
  ) {
    if (!session.outputNames.includes(MODEL.version)) {
      throw new Error(`the model is not of version ${MODEL.version}, as this package is`);
    }
  }

  /** The prediction for one row; throws FeatureError. */
  async predict(features: Features): Promise<Prediction> {
    return this.run(encode(features));
  }

  /** The prediction for one row as the graph takes it, which is not checked. */
  async run(encoded: Encoded): Promise<Prediction> {
    const feeds: Record<string, Tensor> = {};
    for (const [name, type] of Object.entries(MODEL.tensors)) {
      feeds[name] = new this.Tensor(type as "float64", [encoded[name] as number], [1, 1]);
    }
    const { data } = (await this.session.run(feeds, [MODEL.version]))[MODEL.version]!;
    const numbers = Array.from(data as Float64Array);
    if (!numbers.every(Number.isFinite)) throw new Error("the model predicts no finite number");
    return answer(numbers) as unknown as Prediction;
  }
}

function answer(numbers: number[]): Record<string, unknown> {
  const { name, kind } = MODEL.target;
  const classes: string[] = MODEL.classes;
  const metadata = { model_version: MODEL.version };
  if (!classes.length) return { [name]: numbers[0], metadata };
  const best = classes[numbers.indexOf(Math.max(...numbers))];
  const probabilities = Object.fromEntries(classes.map((each, index) => [each, numbers[index]]));
  return { [name]: kind === "bool" ? best === "true" : best, probabilities, metadata };
}
