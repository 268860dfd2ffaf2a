"""A scikit-learn model behind FastAPI, as its tutorial shows requests and lifespan events."""

import os
from contextlib import asynccontextmanager

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

models = {}


@asynccontextmanager
async def lifespan(app: FastAPI):
    """Load the model before the first request."""
    models["wait"] = joblib.load(os.environ["MODEL_FILE"])
    yield
    models.clear()


app = FastAPI(lifespan=lifespan)


class Features(BaseModel):
    hour: float
    day: str
    distance: float
    items: int


class Prediction(BaseModel):
    prediction: float


# `def`, not `async def`: the documentation wants code that blocks in its thread pool.
@app.post("/predict")
def predict(features: Features) -> Prediction:
    """The prediction for one row of features."""
    frame = pd.DataFrame([features.model_dump()])
    return Prediction(prediction=models["wait"].predict(frame)[0])
