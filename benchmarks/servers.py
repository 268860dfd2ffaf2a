"""The servers that are compared, each with the same model.

To add a peer, add it to SERVERS; one with the whole product in it to PRODUCTS.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paths import BUILD, PEERS, PROJECT, VENVS
from processes import Failed

Row = dict[str, Any]
"""The features of one order by name."""

TOKEN = "benchmark" * 4  # one of 32 characters at least
OURS, UNCOMPILED = "ours", "ours-uncompiled"
STORES = {OURS: "artifacts", UNCOMPILED: "artifacts-uncompiled"}
SKLEARN, COMPILED = "scikit-learn", "compiled"
MODEL_FILES = {SKLEARN: "model.joblib", COMPILED: "model.onnx"}
MLFLOW_MODEL = BUILD / "mlflow-model"
DATATYPES = {"hour": "FP64", "day": "BYTES", "distance": "FP64", "items": "INT64"}


@dataclass(frozen=True)
class Server:
    """One server of the model.

    Attributes:
        name: short, for commands and files.
        label: for people.
        model: the file that it serves, SKLEARN or COMPILED.
        python: the interpreter of its virtual environment.
        command: what starts it; {port}, {spare} and {spare_2} become free ports, {model} the
            model file and {mlflow_model} the same model in MLflow's format.
        path: where predictions are asked for.
        packages: those whose versions are published.
        setup: everything that is not its default, and why.
        environment: variables for it, with the same placeholders.
        encode: makes the body of a request from a row, as its documentation shows.
        decode: takes the prediction from the body of a response.
    """

    name: str
    label: str
    model: str
    python: Path
    command: tuple[str, ...]
    path: str
    packages: tuple[str, ...]
    setup: str
    environment: Mapping[str, str]
    cwd: Path
    encode: Callable[[Row], Any]
    decode: Callable[[Any], float]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether this is the template's own server."""
        return self.name in STORES


def tensors(rows: list[Row]) -> dict[str, Any]:
    """Rows as the Open Inference Protocol has them: one tensor per feature."""
    return {
        "inputs": [
            {
                "name": name,
                "shape": [len(rows)],
                "datatype": datatype,
                "data": [row[name] for row in rows],
            }
            for name, datatype in DATATYPES.items()
        ]
    }


def mlserver_frame(row: Row) -> dict[str, Any]:
    """The same for MLServer, which needs content types to make a data frame of the tensors."""
    request = tensors([row])
    for tensor in request["inputs"]:
        if tensor["datatype"] == "BYTES":
            tensor["parameters"] = {"content_type": "str"}
    return {"parameters": {"content_type": "pd"}, **request}


def first_output(response: Any) -> float:
    """The first value of the first tensor of an inference response."""
    return float(response["outputs"][0]["data"][0])


def prediction_of(order: Any) -> float:
    """The prediction in an order, which has to be the model's."""
    metadata = order["metadata"]
    if metadata["served_by"] != "model":
        raise Failed(f"served by {metadata['served_by']}")
    return float(metadata["expected_wait_seconds"])


def ours(name: str, label: str, model: str, *packages: str) -> Server:
    """The stamped-out project's model server, started as its users start it."""
    return Server(
        name=name,
        label=label,
        model=model,
        python=PROJECT / "model/.venv/bin/python",
        command=("model/.venv/bin/model", "serve"),
        path="/v2/models/order-wait-times/infer",
        packages=("gunicorn", "starlette", *packages),
        setup="a port instead of the private socket; every request carries the token",
        environment={
            "MODEL_URL": "http://127.0.0.1:{port}",
            "MODEL_TOKENS": TOKEN,
            "MODEL_STORE": STORES[name],
        },
        cwd=PROJECT,
        encode=lambda row: tensors([row]),
        decode=first_output,
        headers={"Authorization": f"Bearer {TOKEN}"},
    )


PEER_ENVIRONMENT = {
    SKLEARN: {"OMP_NUM_THREADS": "1"} if os.environ.get("ONE_THREAD") else {},
    COMPILED: {"ORT_DISABLE_TELEMETRY": "1"},
}
"""What makes peers faster or steadier though their documentation does not set it.

Threads of scikit-learn that wait for their turn on few cores spin, which `ONE_THREAD=1` spares the
peers; ONNX Runtime sends events to its maker from a thread.
"""


def peer(
    name: str,
    label: str,
    model: str,
    command: str,
    packages: str,
    setup: str,
    path: str = "/predict",
    environment: Mapping[str, str] | None = None,
    encode: Callable[[Row], Any] = dict,
    decode: Callable[[Any], float] = lambda response: float(response["prediction"]),
    folder: str = "",
) -> Server:
    """A tool in peers/, in an environment of its own, both of them named like the server."""
    folder = folder or name.removesuffix("-compiled")
    program, *arguments = command.split()
    common = PEER_ENVIRONMENT[model]
    return Server(
        name=name,
        label=label,
        model=model,
        python=VENVS / folder / "bin/python",
        command=(str(VENVS / folder / "bin" / program), *arguments),
        path=path,
        packages=tuple(packages.split()),
        setup="; ".join([setup, *map("=".join, common.items())]),
        environment={"MODEL_FILE": "{model}", "PORT": "{port}", **common, **(environment or {})},
        cwd=PEERS / folder,
        encode=encode,
        decode=decode,
    )


SERVERS = [
    ours(OURS, "this template", COMPILED, "onnxruntime"),
    ours(UNCOMPILED, "this template, --no-compile", SKLEARN, "scikit-learn", "pandas"),
    peer(
        "flask",
        "Flask, gunicorn",
        SKLEARN,
        "gunicorn --bind 127.0.0.1:{port} --workers 1 app:app",
        packages="flask gunicorn",
        setup="gunicorn's default sync worker, which closes every connection; no access log",
    ),
    peer(
        "fastapi",
        "FastAPI, uvicorn",
        SKLEARN,
        "uvicorn --host 127.0.0.1 --port {port} app:app",
        packages="fastapi uvicorn",
        setup="uvicorn[standard], so uvloop and httptools; `def` in the thread pool; access log",
    ),
    peer(
        "litserve",
        "LitServe",
        SKLEARN,
        "python app.py",
        packages="litserve fastapi uvicorn",
        setup="accelerator cpu, one worker, writes no client file; access log",
    ),
    peer(
        "bentoml",
        "BentoML",
        SKLEARN,
        "bentoml serve app:Wait --host 127.0.0.1 --port {port}",
        packages="bentoml uvicorn",
        setup="one worker; the DataFrame input of its documentation; no telemetry; access log",
        environment={"BENTOML_DO_NOT_TRACK": "True"},
        encode=lambda row: {"input": [row]},
        decode=float,
    ),
    peer(
        "mlserver",
        "MLServer",
        SKLEARN,
        "mlserver start .",
        packages="mlserver mlserver-sklearn",
        setup="its SKLearn runtime in one process, as advised for light models; content type pd;"
        " access log",
        path="/v2/models/wait/infer",
        environment={
            "MLSERVER_MODEL_URI": "{model}",
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{spare}",
            "MLSERVER_METRICS_PORT": "{spare_2}",
        },
        encode=mlserver_frame,
        decode=first_output,
    ),
    peer(
        "mlflow",
        "MLflow models serve",
        SKLEARN,
        "mlflow models serve --model-uri {mlflow_model} --env-manager local"
        " --host 127.0.0.1 --port {port}",
        packages="mlflow uvicorn",
        setup="saved as skops with a signature, one worker, local environment; access log",
        path="/invocations",
        encode=lambda row: {
            "dataframe_split": {"columns": list(row), "data": [list(row.values())]}
        },
        decode=lambda response: float(response["predictions"][0]),
    ),
    peer(
        "fastapi-compiled",
        "FastAPI, uvicorn, by hand",
        COMPILED,
        "uvicorn --host 127.0.0.1 --port {port} compiled:app",
        packages="fastapi uvicorn onnxruntime",
        setup="uvicorn[standard], so uvloop and httptools; `async def`; access log",
    ),
    peer(
        "litserve-compiled",
        "LitServe",
        COMPILED,
        "python compiled.py",
        packages="litserve fastapi uvicorn onnxruntime",
        setup="accelerator cpu, one worker, writes no client file; access log",
    ),
    peer(
        "bentoml-compiled",
        "BentoML",
        COMPILED,
        "bentoml serve compiled:Wait --host 127.0.0.1 --port {port}",
        packages="bentoml uvicorn onnxruntime",
        setup="one worker; no telemetry; access log",
        environment={"BENTOML_DO_NOT_TRACK": "True"},
        decode=float,
    ),
]
PRODUCTS = [
    peer(
        f"orders-{name}" + ("-compiled" if model == COMPILED else ""),
        label,
        model,
        command,
        packages=f"{packages} sqlalchemy psycopg",
        setup=f"{setup}; SQLAlchemy's ORM, a pool of 8 connections, WAL on SQLite",
        path="/orders",
        decode=prediction_of,
        folder="product",
    )
    for name, label, command, packages, setup in (
        (
            "flask",
            "Flask by hand",
            "gunicorn --bind 127.0.0.1:{port} --workers 1 --threads 8 flask_app:app",
            "flask gunicorn",
            "gunicorn's gthread worker, 8 threads; no access log",
        ),
        (
            "fastapi",
            "FastAPI by hand",
            "uvicorn --host 127.0.0.1 --port {port} fastapi_app:app",
            "fastapi uvicorn",
            "uvicorn[standard]; `def` in a thread pool of 8; access log",
        ),
    )
    for model in (SKLEARN, COMPILED)
]
"""`POST /orders` written by hand, with the model in the handler."""

BY_NAME = {server.name: server for server in SERVERS}
