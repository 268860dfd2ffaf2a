"""How a prediction comes about: what a model server answers to `explain`."""

from datetime import datetime

from pydantic import BaseModel, FiniteFloat

Value = bool | int | float | datetime | str | None


class Contribution(BaseModel):
    """What a feature adds to a prediction by its own value, in place of the typical one."""

    feature: str
    value: Value
    typical: Value
    contribution: FiniteFloat


class Explanation(BaseModel):
    """A prediction: that for the typical row, and all contributions, added up.

    Attributes:
        of: the predicted class, whose probability this is about; None for a regression.
        exact: whether the contributions are Shapley values, or estimates that add up as well.
    """

    version: str
    of: str | None
    typical: FiniteFloat
    prediction: FiniteFloat
    exact: bool
    contributions: list[Contribution]
