/** The package on the native runtime of the release that phones have. */
import { readFileSync } from "node:fs";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { encode, FeatureError, Predictor } from "../build/package/src/predictor.js";

export { encode, FeatureError, Predictor, Tensor };
export const predictor = new Predictor(
  await InferenceSession.create(readFileSync("build/package/model.ort")),
  Tensor,
);
