"""What one version of the model is, with the digest of every other file in its folder."""

import json
import operator
import re
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_jsonable_python

from contract import MODEL_NAME, TARGET

MANIFEST_FILE = "manifest.json"
VERSION = re.compile(r"[0-9a-f]{12}")
MODEL_FILE = "model.joblib"
ONNX_FILE = "model.onnx"
REMEDY = "restore it, or run `make train`"

Task = Literal["regression", "binary", "multiclass"]
TASKS: dict[str, Task] = {"float": "regression", "bool": "binary", "category": "multiclass"}
TASK = TASKS[TARGET.kind]
METRIC = "mean_absolute_error" if TASK == "regression" else "log_loss"
"""What versions and candidates are compared by: the less, the better."""
PACKAGES = ("scikit-learn", "numpy", "pandas", "joblib", "skl2onnx", "onnx", "onnxruntime")
"""Every version is made with these; its pipeline may need others."""


class _Part(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Data(_Part):
    """The rows that the version was made from."""

    source: str
    sha256: str
    rows: int
    synthetic: bool
    license: str | None = None
    caveat: str | None = None
    parts: list["Data"] = Field(default=[], exclude_if=operator.not_)
    """What it was put together from, if from several files."""


class Outliers(_Part):
    """Rows that nothing was learnt from, since their target was out of all proportion."""

    rows: int
    low: float
    """The least target that was not."""
    high: float
    """The greatest."""


class Code(_Part):
    """The commit that the training ran from."""

    commit: str
    dirty: bool


class Observed(_Part):
    """What the rows held in one column, to tell drift by."""

    missing: float
    """Share of the rows in which it was missing."""
    quantiles: list[float] | None = None
    """For numbers, and moments as seconds since 1970: the minimum, nine deciles and the maximum."""
    counts: list[int] | None = None
    """How many rows lay from each distinct quantile up to the next; last, at the maximum."""
    shares: dict[str, float] | None = None
    """For booleans and categories: the share of the rows of each, at most the 100 most frequent."""


class Interval(_Part):
    """A difference, with the interval that holds the true one in 95 of 100 cases."""

    mean: float
    low: float
    high: float
    rows: int


class Linear(_Part):
    """How good a linear model of the same rows is."""

    metrics: dict[str, float]
    gain: Interval | None
    """By how much its loss is larger; None where too few rows tell."""


class Slice(_Part):
    """How good the predictions were where one feature had one value."""

    feature: str
    value: str | bool | None
    rows: int
    metrics: dict[str, float]


class Candidate(_Part):
    """One of the pipelines that were searched among."""

    name: str
    score: float | None
    """The mean over the folds, the greater the better; None where it is no number."""


class Evaluation(_Part):
    """How good a model of the past was on the later rows, which it had not seen."""

    split: str
    """How these rows were chosen, as `SPLIT` in `model.pipeline` has it."""
    candidates: list[Candidate]
    """What the pipeline was chosen from, best first; empty where there was no choice."""
    past: int
    later: int
    metrics: dict[str, float]
    baseline: dict[str, float]
    """The same metrics for the fallback of the past rows as the prediction of everything."""
    linear: Linear | None = None
    """None where the pipeline is linear itself, or none can be fitted."""
    importance: dict[str, Interval] = {}
    """Of each feature: by how much the loss is larger where its values are shuffled."""
    slices: list[Slice]
    columns: list[str]
    """By which rows are told apart in the file of losses."""


class Compilation(_Part):
    """Whether the pipeline was compiled, and proven to predict as scikit-learn does."""

    reason: str | None = None
    """Why scikit-learn itself predicts; None where the compiled model does."""
    rows: int = 0
    """On how many rows both were compared."""
    worst: float = 0.0
    """The largest relative error among them."""


class SelfTest(_Part):
    """Rows by column, with the predictions that the version must make of them."""

    columns: dict[str, list[Any]]
    predictions: list[dict[str, Any]]

    def message(self) -> str:
        """The same by row, as JSON."""
        rows = zip(*self.columns.values(), strict=True)
        named = [dict(zip(self.columns, row, strict=True)) for row in rows]
        return json.dumps(to_jsonable_python({"rows": named, "predictions": self.predictions}))


class Manifest(_Part):
    """What one version is."""

    version: str
    model: str = MODEL_NAME
    created_at: datetime
    signature: str
    features: dict[str, str]
    """Kind of each feature, with a question mark where it may be missing."""
    target: dict[str, str]
    task: Task
    classes: list[str] | None
    """In the order of the probabilities; None for a regression."""
    data: Data
    outliers: Outliers | None = None
    code: Code | None
    """None where the training did not run from a git work tree."""
    python: str
    packages: dict[str, str]
    evaluation: Evaluation | None
    """None where the past rows hold one class only."""
    fallback: dict[str, Any]
    """A `contract.Prediction`: what to answer while the model cannot be asked."""
    observed: dict[str, Observed]
    compiled: Compilation
    self_test: SelfTest
    files: dict[str, str]
    """SHA-256 of each file that the manifest vouches for."""

    @property
    def uninformative(self) -> list[str]:
        """The features that had one value in all rows, or none."""
        found = ((name, each) for name, each in self.observed.items() if name in self.features)
        return [
            name
            for name, each in found
            if each.missing == 1
            or (each.missing == 0 and len(set(each.quantiles or each.shares or ())) == 1)
        ]

    @property
    def engine_file(self) -> str:
        """The file that answers: the compiled model, if there is one."""
        return ONNX_FILE if ONNX_FILE in self.files else MODEL_FILE
