"""Liveness and readiness."""

from time import monotonic

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import SQLAlchemyError

from service.database import Database
from service.errors import problem, responses
from service.predictors import Predictor, PredictorError


class Health(BaseModel):
    """The state of the service."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: str
    """`ok`."""

    checks: dict[str, str]
    """What each check found."""


def routes(database: Database, predictor: Predictor) -> APIBlueprint:
    """`/livez`, which asks nothing else, and `/readyz`, which asks the database and the model."""
    api = APIBlueprint("health", __name__, abp_tags=[{"name": "health"}])

    @api.get("/livez", responses=responses(200, Health))
    def live() -> dict[str, object]:
        """Whether the process lives."""
        return {"status": "ok", "checks": {}}

    @api.get("/readyz", responses=responses(200, Health, 503))
    def ready() -> Response | dict[str, object]:
        """Whether the service can work: its database is there and migrated, and so is its model."""
        checks = {"database": _database(database), "model": _model(predictor)}
        if set(checks.values()) != {"ok"}:
            faults = [f"{name}: {found}" for name, found in checks.items() if found != "ok"]
            return problem(503, "; ".join(faults), checks=checks)
        return {"status": "ok", "checks": checks}

    return api


def _database(database: Database) -> str:
    try:
        return "ok" if database.migrated() else "not migrated: run `service migrate`"
    except SQLAlchemyError:
        return "unreachable"


def _model(predictor: Predictor) -> str:
    try:
        predictor.check(monotonic() + 1)
    except PredictorError as error:
        return f"{error.reason}: {error}"
    return "ok"
