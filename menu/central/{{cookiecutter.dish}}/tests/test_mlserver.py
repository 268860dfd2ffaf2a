"""A platform's MLServer serves the version, to anybody and to this project's service."""

import json
import os
import subprocess
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DISH, MODEL, ROOT, TOKEN, ask, reserved_port, running, wait_until

from contract import FEATURES, TARGET, Features, examples
from contract.tensors import inputs_of, predictions_of
from contract.tolerance import TOLERANCE
from model.artifacts.manifest import Manifest
from model.compiling.parity import relative_error
from model.engines.predictions import Predictions

PLURAL = "{{ cookiecutter.__plural }}"
CHUNK = 2000


def features_of(row: dict[str, Any]) -> Features | None:
    """The features of a parity row; None for a moment between microseconds, which no text holds."""
    values = dict(row["features"])
    for each in FEATURES:
        if each.kind == "datetime" and (seconds := values[each.name]) is not None:
            moment = values[each.name] = datetime.fromtimestamp(seconds, UTC)
            if moment.timestamp() != seconds:
                return None
    return Features(**values)


def parity_rows() -> list[tuple[Features | None, dict[str, Any]]]:
    """The rows of the compile gate, and what scikit-learn predicts of each."""
    lines = (DISH / "build/parity.jsonl").read_text("utf-8").splitlines()
    return [(features_of(row), row["expected"]) for row in map(json.loads, lines)]


def gathered(rows: list[dict[str, Any]], manifest: Manifest) -> Predictions:
    """Predictions by row as arrays."""
    values = [row[TARGET.name] for row in rows]
    if not manifest.classes:
        return Predictions(np.array(values))
    shares = [[row["probabilities"][name] for name in manifest.classes] for row in rows]
    kind = object if TARGET.kind == "category" else None
    return Predictions(np.array(values, kind), manifest.classes, np.array(shares))


def test_all_parity_rows_are_predicted_as_scikit_learn_predicts_them(
    mlserver: int, manifest: Manifest
) -> None:
    rows = parity_rows()
    features = [each for each, _ in rows if each]
    found: list[dict[str, Any]] = []
    for start in range(0, len(features), CHUNK):
        request = {"inputs": inputs_of(features[start : start + CHUNK])}
        status, response = ask(mlserver, f"{MODEL}/infer", request)
        assert (status, response["model_version"]) == (200, manifest.version)
        found += [each.model_dump() for each in predictions_of(response)]
    expected = gathered([expected for each, expected in rows if each], manifest)
    assert relative_error(gathered(found, manifest), expected).max() <= TOLERANCE


def test_what_breaks_the_contract_is_answered_400_with_the_name_of_the_tensor(
    mlserver: int,
) -> None:
    tensors = inputs_of([next(features for features, _ in parity_rows() if features)])
    tensors[-1]["name"] = "unknown"
    status, answer = ask(mlserver, f"{MODEL}/infer", {"inputs": tensors})
    assert status == 400
    assert "unknown: unknown tensor" in answer["error"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_service_asks_it_by_its_url(
    scheme: str, mlserver: int, gateway: tuple[int, Path], manifest: Manifest, tmp_path: Path
) -> None:
    port = mlserver if scheme == "http" else gateway[0]
    service = str(ROOT / "service/.venv/bin/service")
    with ExitStack() as stack:
        public, ops = (stack.enter_context(reserved_port()) for _ in range(2))
        environment = {
            "DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}",
            "MODEL_URL": f"{scheme}://127.0.0.1:{port}{MODEL}",
            "MODEL_TOKENS": TOKEN,
            "MODEL_DEADLINE": "10",
            "PORT": str(public),
            "OPS_PORT": str(ops),
        }
        if scheme == "https":
            environment["MODEL_CA"] = str(gateway[1])
        for command in ("migrate", "check"):
            done = subprocess.run(
                [service, command],
                cwd=ROOT,
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        log = tmp_path / "log"
        process = stack.enter_context(running([service, "serve"], environment, log))
        wait_until(
            lambda: ask(public, "/readyz") == (200, {"status": "ok", "model": "ok"}), process, log
        )
        for example in examples():
            body = {name: value for name, value in example.items() if name != TARGET.name}
            status, answer = ask(public, f"/{PLURAL}", body)
            said = answer["metadata"]["served_by"], answer["metadata"]["model_version"]
            assert (status, said) == (201, ("model", manifest.version))
