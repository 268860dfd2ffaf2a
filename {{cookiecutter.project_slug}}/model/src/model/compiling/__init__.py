"""From a fitted pipeline to an ONNX graph, and the proof that both predict the same."""
