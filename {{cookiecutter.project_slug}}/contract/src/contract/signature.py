"""The contract as data: its columns, and the digest that both sides compare."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, get_args

from pydantic.fields import FieldInfo

from contract.features import Features
from contract.prediction import Prediction

MODEL_NAME = "{{ cookiecutter.project_slug }}"
"""The model's name in the Open Inference Protocol."""

DATATYPES: dict[Any, str] = {float: "FP64", int: "INT64", bool: "BOOL", str: "BYTES"}


@dataclass(frozen=True)
class Column:
    """One feature, or the target.

    Attributes:
        name: the team's name for it.
        datatype: FP64, INT64, BOOL or BYTES, as the Open Inference Protocol calls them.
        optional: whether it may be missing.
    """

    name: str
    datatype: str
    optional: bool


def _column(name: str, field: FieldInfo) -> Column:
    kinds = set(get_args(field.annotation)) or {field.annotation}
    # `Float | None` keeps its Annotated[float, …] inside the union; alone, pydantic unwraps it.
    (kind,) = ((get_args(each) or [each])[0] for each in kinds - {type(None)})
    return Column(name, DATATYPES[kind], optional=type(None) in kinds)


FEATURES = tuple(_column(*item) for item in Features.model_fields.items())
"""The features, in the order of the contract."""

(TARGET,) = (
    _column(*item) for item in Prediction.model_fields.items() if item[0] != "probabilities"
)
"""What is predicted: FP64 for a regression, BOOL or BYTES for a classification."""


@cache
def signature() -> str:
    """Digest of the names, types and order of all features and of the target: 16 hex digits."""
    columns = [asdict(column) for column in (*FEATURES, TARGET)]
    canonical = json.dumps(columns, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
