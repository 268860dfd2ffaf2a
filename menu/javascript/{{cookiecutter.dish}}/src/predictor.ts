import type { InferenceSession, TensorConstructor } from "onnxruntime-common";
import { type Features, MODEL, type Prediction } from "../build/model.js";

export type { Features, Prediction };

/** The features as the graph takes them: moments in seconds since 1970; NaN or "" if missing. */
export type Encoded = Record<string, number | string>;

/** A feature that is missing, unknown, or of another kind than expected. */
export class FeatureError extends Error {
  constructor(readonly feature: string, fault: string) {
    super(`${feature}: ${fault}`);
  }
}

const TEXT = new RegExp(`^[^${MODEL.invisible}\\ud800-\\udfff]{1,200}$`, "u");
const [YEAR_1, YEAR_10000] = [new Date("0001-01-01"), new Date("+010000-01-01")];
const IS_VALID: Record<string, (value: any) => boolean> = {
  float: (value) => Number.isFinite(value) && Math.abs(value) < 2 ** 53,
  int: (value) => Number.isInteger(value) && Math.abs(value) <= 2 ** 53,
  bool: (value) => typeof value === "boolean",
  category: (value) => typeof value === "string" && TEXT.test(value),
  datetime: (value) => value instanceof Date && value >= YEAR_1 && value < YEAR_10000,
};

/** The features, checked; throws FeatureError. */
export function encode(features: Features): Encoded {
  const names = MODEL.features.map(({ name }) => name);
  const unknown = Object.keys(features).find((name) => !names.includes(name));
  if (unknown !== undefined) throw new FeatureError(unknown, `unknown, expected ${names.join(", ")}`);
  const given = new Map<string, unknown>(Object.entries(features));
  const encoded: Encoded = {};
  for (const { name, kind, optional, expected } of MODEL.features) {
    const value = given.get(name) ?? null;
    if (!(value === null ? optional : IS_VALID[kind]!(value))) {
      const shown = `is ${typeof value} ${JSON.stringify(String(value).slice(0, 40))}`;
      throw new FeatureError(name, `${value === null ? "missing" : shown}, expected ${expected}`);
    }
    if (kind === "category") encoded[name] = (value as string) ?? "";
    else encoded[name] = value === null ? Number.NaN : Number(value) / (kind === "datetime" ? 1000 : 1);
  }
  return encoded;
}

/** Predicts on this device: `session` runs the package's model, `Tensor` is of the same runtime. */
export class Predictor {
  constructor(private session: InferenceSession, private Tensor: TensorConstructor) {
    if (!session.outputNames.includes(MODEL.version)) {
      throw new Error(`the model is not of version ${MODEL.version}, as this package is`);
    }
  }

  /** The prediction for one row; throws FeatureError. */
  readonly predict = async (features: Features): Promise<Prediction> => this.run(encode(features));

  /** The prediction for one row as the graph takes it, which is not checked. */
  async run(encoded: Encoded): Promise<Prediction> {
    const feeds = Object.entries(MODEL.tensors).map(([name, type]) => {
      return [name, new this.Tensor(type as "float64", [encoded[name] as number], [1, 1])];
    });
    const outputs = await this.session.run(Object.fromEntries(feeds), [MODEL.version]);
    const numbers = Array.from(outputs[MODEL.version]!.data as Float64Array);
    if (!numbers.every(Number.isFinite)) throw new Error("the model predicts no finite number");
    return { ...answer(numbers), metadata: { model_version: MODEL.version } } as Prediction;
  }
}

function answer(numbers: number[]): object {
  const { name, kind } = MODEL.target;
  const classes: string[] = MODEL.classes;
  if (!classes.length) return { [name]: numbers[0] };
  const best = classes[numbers.indexOf(Math.max(...numbers))];
  const probabilities = Object.fromEntries(classes.map((each, index) => [each, numbers[index]]));
  return { [name]: kind === "bool" ? best === "true" : best, probabilities };
}
