"""Rows in, predictions out: a version of the model, loaded and proven before it answers.

Nothing here imports scikit-learn; only the reference engine does, which serves what could not be
compiled.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import structlog

from model.answer import Answer, Array, Columns, arrays_of
from model.artifact import ONNX_FILE, ArtifactError, Folder, Manifest, verify

TOLERANCE = 1e-5
"""How far an answer may be from scikit-learn's, relative to it."""
QUICK = 0.002
"""Seconds for which an event loop may be held by one prediction."""
MANY = 64
"""Rows that tell what a further row takes."""


class Predictor(Protocol):
    """One way to run an artifact."""

    def predict(self, arrays: Mapping[str, Array], /) -> Answer:
        """The answer for these rows, given as `model.answer.arrays_of` has them."""


class Engine:
    """One version, ready to answer.

    Attributes:
        manifest: what the version is.
        platform: what runs it, `onnxruntime` or `scikit-learn`.
        quick_rows: how many rows it predicts at once without holding an event loop too long; 0 when
            one row does so already.
    """

    def __init__(self, manifest: Manifest, predictor: Predictor) -> None:
        self.manifest = manifest
        self.platform = "onnxruntime" if ONNX_FILE in manifest.files else "scikit-learn"
        self.quick_rows = 0
        self._predictor = predictor

    @classmethod
    def load(cls, path: Path) -> "Engine":
        """The engine of the artifact in this folder: verified, loaded, and tested on its own rows.

        Raises:
            ArtifactError: saying what is wrong with it.
        """
        folder = verify(path)
        engine = cls(folder.manifest, _predictor(folder))
        test = folder.manifest.self_test
        try:
            answers = engine.predict(test.columns).rows(folder.manifest.classes)
        except Exception as error:  # whatever the libraries below raise for what they cannot run
            raise ArtifactError(
                f"{path}: fails its self-test ({type(error).__name__}: {error}); run `make train`"
            ) from error
        for row, (answer, expected) in enumerate(zip(answers, test.predictions, strict=True)):
            if not _same(answer, expected):
                raise ArtifactError(
                    f"{path}: answers {answer} where row {row} of its self-test expects {expected};"
                    " run `make train`"
                )
        engine.quick_rows = engine._measure(test.columns)
        return engine

    def predict(self, columns: Columns) -> Answer:
        """The answer for these rows, every number finite.

        Raises:
            ArithmeticError: the model answered something that is no number.
        """
        answer = self._predictor.predict(arrays_of(columns))
        if not answer.is_finite():
            raise ArithmeticError("the model answered with something that is not a finite number")
        return answer

    def _measure(self, columns: Columns) -> int:
        """How many rows like these are quick."""
        one = {name: values[:1] for name, values in columns.items()}
        many = {name: [values[0]] * MANY for name, values in columns.items()}
        alone, together = self._seconds(one), self._seconds(many)
        if alone > QUICK:
            return 0
        each = max((together - alone) / (MANY - 1), 1e-7)
        return 1 + int((QUICK - alone) / each)

    def _seconds(self, columns: Columns) -> float:
        """How long a prediction takes when nothing disturbs it."""
        times = []
        for _ in range(3):
            start = perf_counter()
            self.predict(columns)
            times.append(perf_counter() - start)
        return min(times)


def announce(manifest: Manifest) -> None:
    """Log which version answers, and what must be known of it."""
    log = structlog.get_logger()
    log.info(
        "serving",
        version=manifest.version,
        trained=manifest.created_at.isoformat(),
        compiled=manifest.compiled.reason is None,
    )
    if manifest.data.synthetic:
        log.warning("this model was trained on SYNTHETIC data: its predictions mean nothing")


def _predictor(folder: Folder) -> Predictor:
    """The fastest way to run an artifact; what it takes is imported only now."""
    if ONNX_FILE in folder.manifest.files:
        from model.compiled import Compiled

        return Compiled.load(folder)
    from model.reference import Reference

    return Reference.load(folder)


def _same(answer: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return answer.keys() == expected.keys() and all(
            _same(answer[key], value) for key, value in expected.items()
        )
    if isinstance(expected, float):
        return math.isclose(answer, expected, rel_tol=TOLERANCE, abs_tol=1e-9)
    return bool(answer == expected)
