"""A model in the shadow: what it predicts is stored beside what was served, and harms nobody."""

from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from conftest import Service
from sqlalchemy import update
from support import (
    ENTITY,
    NEW,
    OUTCOME,
    PATH,
    PLURAL,
    TOKEN,
    VERSION,
    FakeModel,
    serving,
    wait_until,
)
from test_metrics import scrape

from contract import TARGET
from service import shadow
from service.forgetting import forget
from service.tables import Base

KEY = f"{ENTITY}_id"


@pytest.fixture
def model(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModel]:
    """The shadow of the service's model."""
    monkeypatch.setattr(shadow, "WAITING", 2)
    with serving(str(tmp_path / "shadow.sock")) as (server, url):
        server.model.changes = {"model_version": "shadow"}
        service.restart(model_shadow_url=url, model_tokens=TOKEN)
        yield server.model
        server.model.released.set()


def became(service: Service, result: str) -> int:
    """How many requests this became of in the shadow."""
    line = 'shadow_predictions_total{result="' + result + '"} '
    (found,) = (each for each in scrape(service) if each.startswith(line))
    return int(float(found.removeprefix(line)))


def test_its_predictions_are_stored_beside_those_that_were_served(
    service: Service, model: FakeModel
) -> None:
    answer = service.place()
    wait_until(lambda: became(service, "stored"))
    served, beside = service.rows("predictions")
    differ = {"id", "served_by", "model_version", "latency_ms", "created_at"}
    assert {name for name in served if served[name] != beside[name]} == differ
    assert (beside["served_by"], beside["model_version"]) == ("shadow", "shadow")
    assert service.client.get(f"{PATH}/1").json == answer
    service.post(OUTCOME, f"{PATH}/1/outcome")
    known = OUTCOME[TARGET.name]
    assert [row["outcome"] for row in service.rows("predictions")] == [known, known]
    # Its fallback is not the product's.
    assert [row["version"] for row in service.rows("model_versions")] == [VERSION]


def test_whichever_row_is_the_shadows_it_is_not_the_one_that_was_served(
    service: Service, model: FakeModel
) -> None:
    service.place()
    wait_until(lambda: became(service, "stored"))
    predictions = Base.metadata.tables["predictions"]
    with service.database.writing() as session:
        for number, served_by in ((1, "shadow"), (2, "model")):
            row = update(predictions).where(predictions.c.id == number)
            session.execute(row.values(served_by=served_by))
    answer: Any = service.client.get(f"{PATH}/1").json
    assert answer["metadata"]["model_version"] == "shadow"


def test_one_that_comes_late_takes_the_outcome_that_is_known(
    service: Service, model: FakeModel
) -> None:
    model.released.clear()
    service.place()
    assert service.post(OUTCOME, f"{PATH}/1/outcome").status_code == 200
    model.released.set()
    wait_until(lambda: became(service, "stored"))
    assert service.rows("predictions")[1]["outcome"] == OUTCOME[TARGET.name]


def test_one_that_comes_while_the_outcome_is_recorded_takes_it(
    service: Service, model: FakeModel
) -> None:
    model.released.clear()
    service.place()
    product, predictions = (Base.metadata.tables[name] for name in (PLURAL, "predictions"))
    with service.database.writing() as recording:
        recording.execute(update(product).values(OUTCOME))
        recording.execute(update(predictions).values(outcome=OUTCOME[TARGET.name]))
        model.released.set()
        sleep(0.2)  # in which it could store its own
    wait_until(lambda: became(service, "stored"))
    assert service.rows("predictions")[1]["outcome"] == OUTCOME[TARGET.name]


def test_nothing_is_stored_about_what_was_forgotten_meanwhile(
    service: Service, model: FakeModel
) -> None:
    model.released.clear()
    service.place()
    assert forget(service.database, 1) == {PLURAL: 1, "predictions": 1}
    service.place()  # which has the same number in SQLite
    model.released.set()
    wait_until(lambda: became(service, "stored"))
    assert became(service, "dropped") == 1
    number = service.rows(PLURAL)[0]["id"]
    assert [row[KEY] for row in service.rows("predictions")] == [number, number]


def test_one_that_hangs_or_fails_keeps_nobody_waiting(service: Service, model: FakeModel) -> None:
    model.released.clear()
    for _ in range(shadow.WAITING + 3):  # one is asked about
        assert service.place()["metadata"]["served_by"] == "model"
    assert became(service, "dropped") in (2, 3)
    model.fault = RuntimeError("broken")
    model.released.set()
    wait_until(lambda: became(service, "failed") >= shadow.WAITING)
    assert len(service.rows("predictions")) == shadow.WAITING + 3
    model.fault = None
    service.place()
    wait_until(lambda: became(service, "stored"))


def test_a_repeated_request_has_one_shadow(service: Service, model: FakeModel) -> None:
    for _ in range(2):
        answer: Any = service.post(NEW, headers={"Idempotency-Key": "k1"})
        assert answer.status_code == 201
    service.place()
    wait_until(lambda: became(service, "stored") == 2)
    assert len(model.requests) == 2
