/** The types of the package fit those of React Native's runtime: `file` is the path of `model.ort`. */
import { InferenceSession, Tensor } from "onnxruntime-react-native";
import { Predictor } from "../src/predictor.js";

export async function load(file: string): Promise<Predictor> {
  return new Predictor(await InferenceSession.create(file), Tensor);
}
