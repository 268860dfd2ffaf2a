/** The same package in an app of React Native: `file` is where the app keeps `model.ort`. */
import { InferenceSession, Tensor } from "onnxruntime-react-native";
import { Predictor } from "../src/predictor.js";

export async function load(file: string): Promise<Predictor> {
  return new Predictor(await InferenceSession.create(file), Tensor);
}
