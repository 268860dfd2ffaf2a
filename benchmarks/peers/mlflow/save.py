"""Saves a scikit-learn model in MLflow's format, with a signature from an example as advised."""

import sys

import joblib
import mlflow.sklearn
import pandas as pd

model_file, history, folder = sys.argv[1:]
example = pd.read_csv(history, nrows=5)[["hour", "day", "distance", "items"]]
TRUSTED = [
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.model_selection._split.KFold",
]
mlflow.sklearn.save_model(
    joblib.load(model_file), folder, input_example=example, skops_trusted_types=TRUSTED
)
