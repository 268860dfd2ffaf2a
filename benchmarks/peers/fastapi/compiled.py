"""The compiled model behind FastAPI, written by hand as an experienced engineer would."""

import os
from contextlib import asynccontextmanager
from typing import Annotated

import numpy as np
from fastapi import Depends, FastAPI, Request
from onnxruntime import InferenceSession, SessionOptions
from pydantic import BaseModel


@asynccontextmanager
async def lifespan(app: FastAPI):
    """Load the model before the first request."""
    options = SessionOptions()
    options.intra_op_num_threads = 1
    app.state.session = InferenceSession(
        os.environ["MODEL_FILE"], options, providers=["CPUExecutionProvider"]
    )
    yield


app = FastAPI(lifespan=lifespan)


async def session_of(request: Request) -> InferenceSession:
    """The model, for every request."""
    return request.app.state.session


class Features(BaseModel):
    hour: float
    day: str
    distance: float
    items: int


class Prediction(BaseModel):
    prediction: float


# `async def`: a prediction takes less time than handing it to a thread would.
@app.post("/predict")
async def predict(
    features: Features, session: Annotated[InferenceSession, Depends(session_of)]
) -> Prediction:
    """The prediction for one row of features."""
    feed = {
        "hour": np.array([[features.hour]]),
        "day": np.array([[features.day]], dtype=object),
        "distance": np.array([[features.distance]]),
        "items": np.array([[features.items]], dtype=np.float64),
    }
    (predictions,) = session.run(None, feed)
    return Prediction(prediction=predictions.item())
