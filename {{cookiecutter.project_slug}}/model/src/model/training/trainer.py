"""A new version: judged on the later rows, then fitted to all of them."""

import hashlib
import io
import platform
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import joblib

from contract import FEATURES, INPUTS, TARGET, signature
from model.artifacts.manifest import MODEL_FILE, ONNX_FILE, TASK, Compilation, Manifest, SelfTest
from model.artifacts.verification import version_of
from model.columns import add_derived, to_arrays, to_values
from model.compiling.compiler import compile_pipeline
from model.engines.sklearn import SklearnEngine
from model.errors import ModelError, explained
from model.pipeline import build_pipeline
from model.training.evaluation import judge, observe
from model.training.fitting import REMEDY, fallback_of, fit
from model.training.history import History
from model.training.losses import LOSSES_FILE
from model.training.outliers import reject_outliers
from model.training.provenance import describe_code, packages_of
from model.training.search import choose
from model.training.splitting import past_and_later

MIN_ROWS = 20
SELF_TEST_ROWS = 8
STEPS = (
    "choose among the candidates",
    "judge on the later part",
    "fit to all rows",
    "compile and compare",
    "describe",
)


def train(
    history: History,
    on_step: Callable[[str], None] = lambda name: None,
    *,
    build: Callable[[], Any] = build_pipeline,
    compiled: bool = True,
) -> tuple[Manifest, dict[str, bytes]]:
    """A new version: its manifest and its files.

    A model of about 80 % of the rows is judged on the rest. The version itself is fitted to all
    rows, with the same settings, and so is expected to be as good or better. Where `build` makes a
    search, both are of the candidate that is best on the 80 %. Outliers are among none of them.

    Args:
        history: at least 20 rows.
        on_step: called with the name of each of the `STEPS` as it begins.

    Raises:
        ModelError: the rows are too few or of one class only, or the pipeline fails on them.
    """
    if len(history) < MIN_ROWS:
        few = f"{len(history)} rows are too few to learn from"
        raise ModelError(f"{few}; {MIN_ROWS} is least: add rows to the history")
    if history.classes and len(set(history.targets)) < 2:
        raise ModelError(f"every row has the class {history.targets[0]}: nothing to learn")
    history, outliers = reject_outliers(history)
    on_step(STEPS[0])
    past, later = map(history.part, past_and_later(history))
    build, candidates = choose(build, past)
    _dumped(build())  # what cannot be stored need not be judged first
    on_step(STEPS[1])
    judgement = judge(build, past, later, candidates)
    on_step(STEPS[2])
    reference = fit(build(), history)
    files = {MODEL_FILE: _dumped(reference.pipeline)}
    if judgement:
        files[LOSSES_FILE] = judgement[1]
    on_step(STEPS[3])
    graph, compilation = None, Compilation(reason="it was not to be compiled (--no-compile)")
    if compiled:
        graph, compilation = compile_pipeline(reference, to_arrays(history.columns))
    if graph:
        files[ONNX_FILE] = graph
    on_step(STEPS[4])
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = Manifest(
        version="",  # which follows from the rest
        created_at=datetime.now(UTC),
        signature=signature(),
        features={each.name: each.kind + "?" * each.optional for each in FEATURES},
        target={TARGET.name: TARGET.kind},
        task=TASK,
        classes=list(history.classes) or None,
        data=history.data,
        outliers=outliers,
        code=describe_code(),
        python=platform.python_version(),
        packages=packages_of(reference.pipeline),
        evaluation=judgement and judgement[0],
        fallback=fallback_of(history).rows()[0],
        observed=observe(history),
        compiled=compilation,
        self_test=_self_test(history, reference),
        files=digests,
    )
    return manifest.model_copy(update={"version": version_of(manifest)}), files


def _dumped(pipeline: Any) -> bytes:
    """The pipeline as joblib stores it; raises ModelError if it cannot be stored."""
    buffer = io.BytesIO()
    remedy = "a lambda, or a function within one, cannot be loaded again: name it in a module"
    with explained("the pipeline cannot be stored", remedy, kinds=(Exception,)):
        joblib.dump(pipeline, buffer)
    return buffer.getvalue()


def _self_test(history: History, reference: SklearnEngine) -> SelfTest:
    """Rows of values of the history, and one with all missing and a category never seen.

    Each value is of another row of the history, so that no version keeps any row of it.
    """
    step = -(-len(history) // SELF_TEST_ROWS)
    inputs: dict[str, list[Any]] = {}
    for shift, column in enumerate(INPUTS):
        values = deque(to_values(history.columns[column.name][::step], column))
        values.rotate(shift)
        unseen = "never seen" if column.kind == "category" else values[0]
        inputs[column.name] = [*values, None if column.optional else unseen]
    columns = {name: [*values] for name, values in add_derived(inputs).items()}
    allowed = "a row that the contract allows, with missing values or a category never seen"
    with explained(f"the pipeline fails on {allowed}", REMEDY, kinds=(Exception,)):
        predictions = reference.predict(to_arrays(columns)).rows()
    return SelfTest(columns=columns, predictions=predictions)
