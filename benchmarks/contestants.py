"""Who is compared: how each one is started, asked and understood. To add a peer, add it here."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from places import BENCH, PEERS, PROJECT, VENVS

Row = dict[str, Any]
"""The features of one order by name."""

TOKEN = "bench"
OURS, UNCOMPILED = "ours", "ours-uncompiled"
STORES = {OURS: "artifacts", UNCOMPILED: "artifacts-uncompiled"}
SKLEARN, COMPILED = "scikit-learn", "compiled"
MLFLOW_MODEL = BENCH / "mlflow-model"


@dataclass(frozen=True)
class Contestant:
    """One server of the same model.

    Attributes:
        name: short, for commands and files.
        label: for people.
        artifact: what it serves, SKLEARN's model.joblib or COMPILED's model.onnx.
        python: the interpreter of its virtual environment.
        command: how it is started; {port}, {spare} and {spare_2} become free ports.
        environment: variables for it, with the same placeholders; {model} becomes the artifact.
        path: where predictions are asked for.
        encode: the body of a request for a row, as its documentation has it.
        decode: the prediction in the body of its answer.
        packages: whose versions are told.
        setup: all that is not its default, and why.
    """

    name: str
    label: str
    artifact: str
    python: Path
    command: tuple[str, ...]
    path: str
    encode: Callable[[Row], Any]
    decode: Callable[[Any], float]
    packages: tuple[str, ...]
    setup: str
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = PROJECT

    @property
    def ours(self) -> bool:
        """Whether this is the template's own server."""
        return self.name in STORES


def tensors(row: Row) -> dict[str, Any]:
    """A row as the Open Inference Protocol has it: a tensor per feature."""
    datatypes = {"hour": "FP64", "day": "BYTES", "distance": "FP64", "items": "INT64"}
    return {
        "inputs": [
            {"name": name, "shape": [1], "datatype": datatypes[name], "data": [value]}
            for name, value in row.items()
        ]
    }


def tensors_of_a_frame(row: Row) -> dict[str, Any]:
    """The same for MLServer, which has to be told that the tensors are a frame's columns."""
    request = tensors(row)
    for tensor in request["inputs"]:
        if tensor["datatype"] == "BYTES":
            tensor["parameters"] = {"content_type": "str"}
    return {"parameters": {"content_type": "pd"}, **request}


def output(answer: Any) -> float:
    """The only value of the only tensor of an inference response."""
    return float(answer["outputs"][0]["data"][0])


def ours(name: str, label: str, artifact: str) -> Contestant:
    """The stamped-out project's model server, started as its users start it."""
    return Contestant(
        name=name,
        label=label,
        artifact=artifact,
        python=PROJECT / "model/.venv/bin/python",
        command=("model/.venv/bin/model", "serve"),
        environment={
            "MODEL_URL": "http://127.0.0.1:{port}",
            "MODEL_TOKENS": TOKEN,
            "MODEL_STORE": STORES[name],
        },
        headers={"Authorization": f"Bearer {TOKEN}"},
        path="/v2/models/order-wait-times/infer",
        encode=tensors,
        decode=output,
        packages=("gunicorn", "starlette")
        + (("onnxruntime",) if artifact == COMPILED else ("scikit-learn", "pandas")),
        setup="a port instead of the private socket; every request carries the token",
    )


IN_THEIR_FAVOUR = {
    SKLEARN: {"OMP_NUM_THREADS": "1"} if os.environ.get("ONE_THREAD") else {},
    COMPILED: {"ORT_DISABLE_TELEMETRY": "1"},
}
"""What no peer's documentation sets, and makes each of them faster or steadier.

Threads of scikit-learn that wait for their turn on few cores spin, which `ONE_THREAD=1` spares the
peers; ONNX Runtime sends events to its maker from a thread.
"""


def peer(
    name: str,
    label: str,
    artifact: str,
    command: tuple[str, ...],
    folder: str,
    setup: str,
    environment: Mapping[str, str] | None = None,
    **more: Any,
) -> Contestant:
    """A tool in peers/, in an environment of its own; asked with one flat object unless told."""
    favour = IN_THEIR_FAVOUR[artifact]
    defaults: dict[str, Any] = {
        "path": "/predict",
        "encode": dict,
        "decode": lambda answer: float(answer["prediction"]),
        "cwd": PEERS / folder,
    }
    return Contestant(
        name=name,
        label=label,
        artifact=artifact,
        python=VENVS / folder / "bin/python",
        command=(str(VENVS / folder / "bin" / command[0]), *command[1:]),
        environment={"MODEL_FILE": "{model}", "PORT": "{port}", **favour, **(environment or {})},
        setup="; ".join([setup, *map("=".join, favour.items())]),
        **{**defaults, **more},
    )


BENTOML = {"BENTOML_DO_NOT_TRACK": "True"}
LISTEN = ("--host", "127.0.0.1", "--port", "{port}")

CONTESTANTS = [
    ours(OURS, "this template", COMPILED),
    ours(UNCOMPILED, "this template, --no-compile", SKLEARN),
    peer(
        "flask",
        "Flask, gunicorn",
        SKLEARN,
        ("gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "1", "app:app"),
        "flask",
        packages=("flask", "gunicorn"),
        setup="gunicorn's default sync worker, which closes every connection; no access log",
    ),
    peer(
        "fastapi",
        "FastAPI, uvicorn",
        SKLEARN,
        ("uvicorn", *LISTEN, "app:app"),
        "fastapi",
        packages=("fastapi", "uvicorn"),
        setup="uvicorn[standard], so uvloop and httptools; `def` in the thread pool; access log",
    ),
    peer(
        "litserve",
        "LitServe",
        SKLEARN,
        ("python", "app.py"),
        "litserve",
        packages=("litserve", "fastapi", "uvicorn"),
        setup="accelerator cpu, one worker, writes no client file; access log",
    ),
    peer(
        "bentoml",
        "BentoML",
        SKLEARN,
        ("bentoml", "serve", "app:Wait", *LISTEN),
        "bentoml",
        environment=BENTOML,
        encode=lambda row: {"input": [row]},
        decode=float,
        packages=("bentoml", "uvicorn"),
        setup="one worker; the DataFrame input of its documentation; no telemetry; access log",
    ),
    peer(
        "mlserver",
        "MLServer",
        SKLEARN,
        ("mlserver", "start", "."),
        "mlserver",
        environment={
            "MLSERVER_MODEL_URI": "{model}",
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{spare}",
            "MLSERVER_METRICS_PORT": "{spare_2}",
        },
        path="/v2/models/wait/infer",
        encode=tensors_of_a_frame,
        decode=output,
        packages=("mlserver", "mlserver-sklearn"),
        setup="its SKLearn runtime in one process, as advised for light models; content type pd;"
        " access log",
    ),
    peer(
        "mlflow",
        "MLflow models serve",
        SKLEARN,
        (
            "mlflow",
            "models",
            "serve",
            "--model-uri",
            str(MLFLOW_MODEL),
            "--env-manager",
            "local",
            *LISTEN,
        ),
        "mlflow",
        path="/invocations",
        encode=lambda row: {
            "dataframe_split": {"columns": list(row), "data": [list(row.values())]}
        },
        decode=lambda answer: float(answer["predictions"][0]),
        packages=("mlflow", "uvicorn"),
        setup="saved as skops with a signature, one worker, local environment; access log",
    ),
    peer(
        "fastapi-compiled",
        "FastAPI, uvicorn, by hand",
        COMPILED,
        ("uvicorn", *LISTEN, "compiled:app"),
        "fastapi",
        packages=("fastapi", "uvicorn", "onnxruntime"),
        setup="uvicorn[standard], so uvloop and httptools; `async def`; access log",
    ),
    peer(
        "litserve-compiled",
        "LitServe",
        COMPILED,
        ("python", "compiled.py"),
        "litserve",
        packages=("litserve", "fastapi", "uvicorn", "onnxruntime"),
        setup="accelerator cpu, one worker, writes no client file; access log",
    ),
    peer(
        "bentoml-compiled",
        "BentoML",
        COMPILED,
        ("bentoml", "serve", "compiled:Wait", *LISTEN),
        "bentoml",
        environment=BENTOML,
        decode=float,
        packages=("bentoml", "uvicorn", "onnxruntime"),
        setup="one worker; no telemetry; access log",
    ),
]
