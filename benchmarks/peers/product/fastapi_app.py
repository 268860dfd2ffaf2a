"""The product on FastAPI, written by hand as a good engineer would."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from models import load
from orders import THREADS, NewOrder, connect, place
from pydantic import BaseModel


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Load the model and connect before the first request, with a thread a connection."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield {"sessions": connect(), "predict": load()}


app = FastAPI(lifespan=lifespan)


class Metadata(BaseModel):
    expected_wait_seconds: float
    served_by: str
    model_version: str


class Order(NewOrder):
    id: int
    type: str
    wait_seconds: float | None
    metadata: Metadata


# `def`, not `async def`: the documentation wants code that blocks in its thread pool.
@app.post("/orders", status_code=201)
def orders(new: NewOrder, request: Request) -> Order:
    """Place an order."""
    return Order(**place(new, request.state.sessions, request.state.predict))
