"""Run by the project's own Python: what the scikit-learn pipeline predicts for the history."""

import json
import sys

import joblib
import pandas as pd

if __name__ == "__main__":
    model_file, history = sys.argv[1:]
    columns = ["hour", "day", "distance", "items"]
    rows = pd.read_csv(history, float_precision="round_trip")[columns]
    print(json.dumps(joblib.load(model_file).predict(rows).tolist()))
