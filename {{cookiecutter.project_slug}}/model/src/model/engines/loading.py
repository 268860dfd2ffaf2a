"""One version of the model, loaded and tested before it answers.

Nothing here imports scikit-learn, unless it must run a version that could not be compiled.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import structlog

from contract import INPUTS, TARGET
from contract.evolution import OURS
from contract.tolerance import check_predictions
from contract.types import KINDS
from model.artifacts.manifest import ONNX_FILE, Manifest, SelfTest
from model.artifacts.verification import VerifiedArtifact, verify
from model.columns import Array, Columns, add_derived, missing, to_arrays
from model.engines.predictions import Predictions
from model.errors import explained

if TYPE_CHECKING:
    from model.engines.onnx import OnnxEngine
    from model.engines.sklearn import SklearnEngine

REMEDY = "run `make train`"


class Engine(Protocol):
    """One way to run an artifact."""

    name: str
    """What runs it, `onnxruntime` or `scikit-learn`."""

    def predict(self, arrays: Mapping[str, Array], /) -> Predictions:
        """The predictions for these rows, given as `model.columns.to_arrays` makes them."""


class Model:
    """One version, ready to answer.

    Attributes:
        manifest: what the version is.
        engine: what runs it.
        fallback: what to answer while it cannot be asked, a `contract.Prediction` as JSON text.
        range: of a regression, the least and the greatest target of its training, a JSON list as
            text.
        self_test: rows of this release's contract and what it must predict of them, JSON as text.
    """

    def __init__(self, manifest: Manifest, engine: Engine) -> None:
        self.manifest = manifest
        self.engine = engine
        self.fallback = json.dumps(manifest.fallback, ensure_ascii=False)
        target = manifest.observed.get(TARGET.name)
        quantiles = target and target.quantiles
        self.range = json.dumps([quantiles[0], quantiles[-1]]) if quantiles else None
        self.self_test = ""

    @classmethod
    def load(cls, path: Path, keys: Sequence[Path] = ()) -> "Model":
        """The model in this folder, verified and tested; raises ModelError if anything is wrong.

        Args:
            path: the folder.
            keys: MODEL_VERIFY_KEYS; if there are any, one of them must have signed the version.
        """
        return cls.of(verify(path, keys))

    @classmethod
    def of(cls, artifact: VerifiedArtifact) -> "Model":
        """The model of an artifact, tested; raises ModelError if it cannot be loaded."""
        path, manifest = artifact.path, artifact.manifest
        anything = (Exception,)  # that the libraries below raise for what they cannot run
        with explained(f"{path}: cannot be loaded", REMEDY, anything):
            model = cls(manifest, engine_type(manifest).load(artifact))
        with explained(f"{path}: fails its self-test", REMEDY, anything):
            rows, test = self_test_rows(manifest), manifest.self_test
            check_predictions(model.predict(rows).rows(), test.predictions)
            if manifest.features != OURS.features:  # callers know only what this release knows
                ours = {each.name: rows.get(each.name, missing(rows)) for each in INPUTS}
                lists = {name: [*values] for name, values in add_derived(ours).items()}
                test = SelfTest(columns=lists, predictions=model.predict(lists).rows())
            model.self_test = test.message()
        return model

    def predict(self, columns: Columns) -> Predictions:
        """The predictions for these rows; raises ArithmeticError if a number is not finite."""
        predictions = self.engine.predict(to_arrays(columns, self.manifest.features))
        if not np.isfinite(predictions.numbers).all():
            raise ArithmeticError("the model predicted something that is not a finite number")
        return predictions


def self_test_rows(manifest: Manifest) -> Columns:
    """The rows of a version's self-test."""
    columns = manifest.self_test.columns
    return {
        name: KINDS[kind.rstrip("?")].check(columns[name])
        for name, kind in manifest.features.items()
    }


def log_version(manifest: Manifest) -> None:
    """Log which version answers, and what must be known of it."""
    log = structlog.get_logger()
    trained, compiled = manifest.created_at.isoformat(), manifest.compiled.reason is None
    log.info("serving", version=manifest.version, trained=trained, compiled=compiled)
    if manifest.data.synthetic:
        log.warning("this model was trained on SYNTHETIC data: its predictions mean nothing")


def engine_type(manifest: Manifest) -> "type[OnnxEngine | SklearnEngine]":
    """The fastest engine for a version; what it needs is imported only now."""
    if manifest.engine_file == ONNX_FILE:
        from model.engines.onnx import OnnxEngine

        return OnnxEngine
    from model.engines.sklearn import SklearnEngine

    return SklearnEngine
