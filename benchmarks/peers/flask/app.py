"""A scikit-learn model behind Flask, as tutorials show it."""

import os

import joblib
import pandas as pd
from flask import Flask, jsonify, request

app = Flask(__name__)
model = joblib.load(os.environ["MODEL_FILE"])


@app.post("/predict")
def predict():
    """The prediction for one row of features."""
    frame = pd.DataFrame([request.get_json()])
    return jsonify(prediction=float(model.predict(frame)[0]))
