"""From a history to a version: judged on the later rows, then fitted to all of them."""

import hashlib
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import joblib

from contract import FEATURES
from model.artifact import (
    MODEL_FILE,
    ONNX_FILE,
    Compilation,
    Manifest,
    SelfTest,
    contract_fields,
    describe_code,
    packages,
    version_of,
)
from model.compile import compile_pipeline
from model.errors import ModelError
from model.evaluation import classes_of, fallback_of, judge, observe
from model.history import History
from model.reference import Reference

FEWEST_ROWS = 20
PAST = 0.8
STEPS = ("judge on the later part", "fit to all rows", "compile and compare", "describe")


def train(
    history: History,
    step: Callable[[str], None] = lambda name: None,
    *,
    compiled: bool = True,
) -> tuple[Manifest, dict[str, bytes]]:
    """A new version: its manifest and its files.

    A model of the first 80 % of the rows is judged on the rest. The version itself is fitted to all
    rows, with the same settings, and so is expected to be as good or better.

    Args:
        history: at least 20 rows, oldest first.
        step: told the name of each of the `STEPS` as it begins.
        compiled: whether to try to compile the pipeline.

    Raises:
        ModelError: the rows are too few, or of one class only.
    """
    if len(history) < FEWEST_ROWS:
        raise ModelError(
            f"{len(history)} rows are too few to learn from; {FEWEST_ROWS} is least:"
            " add rows to the history"
        )
    classes = classes_of(history)
    if classes is not None and len(set(history.targets)) < 2:
        raise ModelError(f"every row has the class {history.targets[0]}: nothing to learn")
    step(STEPS[0])
    split = int(PAST * len(history))
    evaluation = judge(history.part(0, split), history.part(split, len(history)), classes)
    step(STEPS[1])
    reference = Reference.fit(history.columns, history.targets, classes)
    buffer = io.BytesIO()
    joblib.dump(reference.pipeline, buffer)
    files = {MODEL_FILE: buffer.getvalue()}
    step(STEPS[2])
    graph, compilation = None, Compilation(reason="it was not to be compiled (--no-compile)")
    if compiled:
        graph, compilation = compile_pipeline(reference, history)
    if graph:
        files[ONNX_FILE] = graph
    step(STEPS[3])
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = Manifest(
        **contract_fields(),
        version=version_of(history.data, packages(), digests),
        created_at=datetime.now(UTC),
        classes=classes,
        data=history.data,
        code=describe_code(),
        evaluation=evaluation,
        fallback=fallback_of(history, classes).rows(classes)[0],
        observed=observe(history),
        compiled=compilation,
        self_test=_self_test(history, reference, classes),
        files=digests,
    )
    return manifest, files


def _self_test(history: History, reference: Reference, classes: list[str] | None) -> SelfTest:
    """Eight rows of the history, and one with all missing that may be and a category never seen."""
    rows = range(0, len(history), -(-len(history) // 8))
    columns: dict[str, list[Any]] = {}
    for column in FEATURES:
        values = [history.columns[column.name][row] for row in rows]
        strange = "never seen" if column.datatype == "BYTES" else values[0]
        columns[column.name] = [*values, None if column.optional else strange]
    try:
        return SelfTest(columns=columns, predictions=reference.predict(columns).rows(classes))
    except ValueError as error:
        raise ModelError(
            "the pipeline refuses a row that the contract allows, with missing values or a category"
            f" that was never seen ({error}); let `build_pipeline` handle it"
        ) from error
