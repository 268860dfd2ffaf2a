"""The contract as data: its columns, and the digest that both sides compare."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from contract.features import Derived, Features
from contract.prediction import Prediction
from contract.types import KINDS

MODEL_NAME = "{{ cookiecutter.project_slug }}"
"""The model's name in the Open Inference Protocol."""


@dataclass(frozen=True)
class Column:
    """One feature, or the target.

    Attributes:
        name: the team's name for it.
        kind: float, int, bool, category or datetime.
        optional: whether it may be missing.
    """

    name: str
    kind: str
    optional: bool

    @property
    def datatype(self) -> str:
        """What its tensors hold, as the Open Inference Protocol calls it."""
        return KINDS[self.kind].datatype


def _column(name: str, field: FieldInfo) -> Column:
    kinds = set(get_args(field.annotation)) or {field.annotation}
    # `Float | None` keeps its Annotated[float, …] inside the union; alone, pydantic unwraps it.
    (python,) = ((get_args(each) or [each])[0] for each in kinds - {type(None)})
    (kind,) = (each.name for each in KINDS.values() if each.python is python)
    return Column(name, kind, optional=type(None) in kinds)


def fields_of(part: type[BaseModel]) -> tuple[Column, ...]:
    """The columns for the fields of a model."""
    return tuple(_column(*item) for item in part.model_fields.items())


FEATURES = fields_of(Features)
"""What the model predicts from, in the order of the contract."""

INPUTS = tuple(column for column in FEATURES if column.name not in Derived.model_fields)
"""The features that a history holds; from them follow the others, which are derived."""

(TARGET,) = (
    _column(*item) for item in Prediction.model_fields.items() if item[0] != "probabilities"
)
"""What is predicted: a float for a regression, a bool or a category for a classification."""


@cache
def signature() -> str:
    """Digest of the names, kinds and order of all features and of the target: 16 hex digits."""
    columns = [asdict(column) for column in (*FEATURES, TARGET)]
    canonical = json.dumps(columns, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
