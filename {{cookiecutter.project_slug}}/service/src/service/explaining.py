"""One prediction, step by step: what came in, what was served, what the model makes of it now."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import to_jsonable_python
from sqlalchemy import inspect

from contract import Features, Inputs, LookedUp
from service.predictors import Predictor, PredictorError
from service.predictors.messages import explanation_of
from service.tables import Base
from service.use_cases import UseCases


def steps(product: UseCases, predictor: Predictor, number: int, deadline: float) -> dict[str, Any]:
    """What is known of a prediction, as JSON has it; `fault` says why nothing explains it.

    Args:
        number: of what it is about.

    Raises:
        NotFound: there is none.
        sqlalchemy.exc.SQLAlchemyError: when the database cannot be used.
    """
    row, prediction = (_values(each) for each in product.find(number))
    served: dict[str, Any] = prediction.pop("features")
    added: dict[str, Any] = {}
    explanation, fault = None, "this model server does not explain its predictions"
    try:
        if answer := predictor.query("explain", deadline, Features.model_validate(served)):
            explanation, fault = explanation_of(answer).model_dump(), ""
            added = {each["feature"]: each for each in explanation.pop("contributions")}
    except ValidationError:
        fault = "the contract has other features by now"
    except PredictorError as error:
        fault = f"{error.reason}: {error}"
    features = [
        {**added.get(name, {}), "feature": name, "step": _step(name), "value": value}
        for name, value in served.items()
    ]
    features.sort(key=lambda each: -abs(each.get("contribution", 0)))
    known = {"row": row, "prediction": prediction, "features": features}
    found: dict[str, Any] = to_jsonable_python({**known, "explanation": explanation})
    return {**found, "fault": fault}


def _values(row: Base) -> dict[str, Any]:
    return {each.key: getattr(row, each.key) for each in inspect(type(row)).column_attrs}


def _step(name: str) -> str:
    known = "looked up" if name in LookedUp.model_fields else "derived"
    return "input" if name in Inputs.model_fields else known
