"""Run by the project's own Python: what the scikit-learn pipeline itself predicts for rows."""

import json
import sys
from pathlib import Path

import joblib
import pandas as pd

if __name__ == "__main__":
    file, question = sys.argv[1:]
    rows = json.loads(Path(question).read_text())["rows"]
    print(json.dumps(joblib.load(file).predict(pd.DataFrame(rows)).tolist()))
