"""Rows in, predictions out: ONNX Runtime for a compiled version, scikit-learn for any other."""
