"""A history that is made up from the declared fields, for teams that have none yet."""

import math
import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from stamping.fields import Field

ROWS = 2000
START = datetime(2025, 1, 1)
CAVEAT = (
    "SYNTHETIC: these rows are made up from the declared fields. What is learnt from them says"
    " nothing about the world; replace them before anyone relies on a prediction."
)


def made_up(features: Sequence[Field], target: Field) -> Iterator[list[str]]:
    """Rows whose target grows with every feature, but for some noise.

    One share between 0 and 1 decides a cell; `random()` alone draws it, since that is what Python
    promises to keep the same in every version.
    """
    draw = random.Random(0).random  # noqa: S311 - no secret
    for _ in range(ROWS):
        shares = [draw() for _ in features]
        known = [not each.optional or draw() > 0.1 for each in features]
        cells = [
            cell(each.kind, share) if there else ""
            for each, share, there in zip(features, shares, known, strict=True)
        ]
        score = sum(share - 0.5 for share, there in zip(shares, known, strict=True) if there)
        score = score / math.sqrt(len(features)) + 0.2 * (draw() - 0.5)
        yield [*cells, cell(target.kind, min(max(0.5 + score, 0), 0.999))]


def cell(kind: str, share: float) -> str:
    """The value that stands this far along the range of its kind."""
    if kind == "float":
        return f"{100 * share:.2f}"
    if kind == "int":
        return str(int(100 * share))
    if kind == "bool":
        return "true" if share >= 0.5 else "false"
    if kind == "datetime":
        return (START + timedelta(minutes=int(share * 365 * 24 * 60))).isoformat() + "Z"
    return ("low", "lower", "higher", "high")[int(4 * share)]
