"""The page tells what is in the database, and nothing in the database can change the page."""

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import Service
from support import EXPECTED, GONE, OTHER, PLURAL, VERSION

from contract import FEATURES, TARGET
from service.cli import main
from service.database import Database
from service.metrics import Metrics
from service.report import charts, facts
from service.report.findings import look
from service.report.live import LiveReport, snapshot
from service.report.page import render
from service.report.queries import IS_REGRESSION, LATENCIES, Sums
from service.report.versions import Version, Versions, versions_of
from service.tables import Prediction

LAST = datetime(2026, 11, 28, 12, tzinfo=UTC)
ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
QUANTILES = [float(at) for at in range(11)]
HOSTILE = '<script>alert("1")</script>'
(ENTITY_ID,) = (each.parent.name for each in Prediction.__table__.foreign_keys)
RIGHT, WRONG = (
    (3, 7) if IS_REGRESSION else (each.model_dump()[TARGET.name] for each in (EXPECTED, OTHER))
)
COLOUR = re.compile(r"--(\w+): #([0-9a-f]{3,6})")
NUMBERS = ("float", "int", "datetime")


def value_of(kind: str, at: int) -> Any:
    """A value of a feature; 110 in a row are as those of training."""
    if kind == "datetime":
        return f"{datetime.fromtimestamp(at % 11, UTC).isoformat()[:19]}Z"
    return {"float": float(at % 11), "int": at % 11, "bool": at % 2 == 0}.get(kind, "ab"[at % 2])


TRAINED: dict[str, Any] = {
    "version": VERSION,
    "created_at": "2026-11-01T00:00:00Z",
    "data": {"rows": 1100, "source": HOSTILE},
    "evaluation": {"metrics": {"mean_absolute_error": 0.5, "accuracy": 0.5}},
    "observed": {
        column.name: {"quantiles": QUANTILES, "counts": [100] * 11}
        if column.kind in NUMBERS
        else {"shares": dict.fromkeys(("true", "false") if column.kind == "bool" else "ab", 0.5)}
        for column in FEATURES
    },
}
if IS_REGRESSION:
    del TRAINED["evaluation"]["metrics"]["accuracy"]
VERSIONS = Versions.model_validate(
    {
        "current": VERSION,
        "versions": [TRAINED],
        "log": [
            {
                "time": "2026-11-01T09:30:00.1Z",
                "to": VERSION,
                "reason": HOSTILE,
                "evidence": {"error": 0.5, "objections": ["late", "large"], "current": None},
            }
        ],
        "aging": [
            {
                **{"version": name, "age_days": age, "rows": 10, "error": error},
                **{"low": error - 0.1, "high": error + 0.1, "beside": beside},
            }
            for name, age, error, beside in (
                ("older", 60, 0.9, {}),
                (VERSION, 27, 0.5, {"older": 0.7}),
            )
        ],
    }
)


def row(at: int, **changes: Any) -> dict[str, Any]:
    """A prediction of the model `at` hours before the last, which came true."""
    probabilities = EXPECTED.model_dump().get("probabilities")
    return {
        ENTITY_ID: 1,
        "features": {column.name: value_of(column.kind, at) for column in FEATURES},
        "expected": RIGHT,
        **({"probabilities": probabilities} if probabilities else {}),
        "outcome": RIGHT,
        "served_by": "model",
        "model_version": VERSION,
        "latency_ms": 2.0,
        "request_id": "r",
        "created_at": LAST - timedelta(hours=at),
        **changes,
    }


def page_of(
    service: Service, rows: list[dict[str, Any]], versions: Versions | None = VERSIONS
) -> str:
    """The page of these predictions."""
    if not service.rows(PLURAL):
        service.place()
    with service.database.writing() as session:
        session.query(Prediction).delete()
        for number, each in enumerate(reversed(rows), 1):
            session.add(Prediction(id=number, **each))
    return render_page(service, versions)


def render_page(service: Service, versions: Versions | None) -> str:
    database = Database(service.url, limited=False)  # as the command has it
    try:
        with snapshot(database) as connection:
            return render(look(connection, versions, LAST), 250.0)
    finally:
        database.engine.dispose()


class Text(HTMLParser):
    """The text of a page; every tag that is opened must be one that the page has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def text_of(page: str) -> str:
    return Text(page).text


def test_the_page_tells_what_was_predicted_and_how_it_turned_out(service: Service) -> None:
    rows = [row(at, outcome=WRONG) if at % 4 == 0 else row(at) for at in range(110)]
    rows += [row(at, served_by="fallback", outcome=WRONG) for at in range(30)]
    rows += [row(at, served_by="none", expected=None, model_version=None) for at in range(10)]
    rows += [row(at, served_by="shadow", model_version="candidate") for at in range(50)]
    rows.insert(1, row(-24))  # of tomorrow, by another clock
    page = page_of(service, rows)
    text = text_of(page)
    assert (
        "In the last week the model served 110 of 150 predictions, its fallback 30; 10 had none."
        in text
    )
    error = 4 if IS_REGRESSION else 1
    assert f"{VERSION} 110 110 {facts.number(28 * error / 110)} " in text
    assert f"{VERSION} (fallback) 30 30 {facts.number(error)} " in text
    assert f"candidate (shadow) 50 50 {facts.number(0)} " in text
    sliced = {column.name: column.kind for column in FEATURES if column.name in facts.SLICED}
    for name in sorted(sliced)[:1]:  # half of the model's rows, and no other
        assert f"{name} {'true' if sliced[name] == 'bool' else 'a'} 55 " in text
    assert "Differs in the last week by more than noise: none." in text
    assert f"2026-11-01 09:30 {VERSION} {HOSTILE} error 0.5, objections late; large" in text
    newest, older = facts.number(0.5), facts.number(0.7)  # on the same rows
    assert f"that one errs by {newest}, and the one of 60 days by {older}." in text
    assert page == render_page(service, VERSIONS)
    assert len(page.encode()) < 2**20


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_texts_and_lines_stand_out_from_what_is_behind_them(mode: str) -> None:
    style = files("service.report").joinpath("report.html").read_text("utf-8")
    light, dark = (dict(each) for each in map(COLOUR.findall, style.split("@media")[:2]))
    colours = light if mode == "light" else dark

    def brightness(colour: str) -> float:
        digits = colour if len(colour) == 6 else "".join(2 * each for each in colour)
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for behind in ("paper", "card"):
        for name in ("ink", "soft", "ok", "look", "act", "s0", "s1", "s2", "s3", "old"):
            pair = sorted(brightness(colours[each]) for each in (behind, name))
            least = 3 if name in ("s0", "s1", "s2", "s3", "old") else 4.5  # WCAG 2.2, 1.4.3 and 11
            assert (pair[1] + 0.05) / (pair[0] + 0.05) > least, (behind, name)


def test_drift_is_named(service: Service) -> None:
    features = {column.name: value_of(column.kind, 0) for column in FEATURES[1:]}
    page = page_of(service, [row(at, features=features) for at in range(100)])
    (named,) = re.findall(r"by more than noise: (.*?)\.", text_of(page))
    assert sorted(named.split(", ")) == sorted(column.name for column in FEATURES)
    assert "100.0 % 0.0 %" in text_of(page)  # the first is missing now


def test_what_was_always_the_same_has_drifted_once_it_varies(service: Service) -> None:
    numbers = [column for column in FEATURES if column.kind in NUMBERS]
    constant = {column.name: {"quantiles": [5.0] * 11, "counts": [1100]} for column in numbers}
    changed = TRAINED | {"observed": TRAINED["observed"] | constant}
    versions = VERSIONS.model_copy(update={"versions": [Version.model_validate(changed)]})

    def drifted(same: dict[str, Any]) -> list[str]:
        rows = [row(at, features=row(at)["features"] | same) for at in range(110)]
        text = text_of(page_of(service, rows, versions))
        (found,) = re.findall(r"by more than noise: (.*?)\.", text)
        return sorted(found.split(", "))

    assert drifted({column.name: value_of(column.kind, 5) for column in numbers}) == ["none"]
    assert drifted({}) == (sorted(column.name for column in numbers) or ["none"])


def test_features_of_an_earlier_contract_do_no_harm(service: Service) -> None:
    features = {column.name: "Mon" for column in FEATURES} | {"gone": [1, {"a": None}]}
    page = page_of(service, [row(at, features=features) for at in range(50)])
    assert "Differs in the last week" in text_of(page)


def test_nothing_that_callers_send_can_break_out(service: Service) -> None:
    features = {column.name: HOSTILE for column in FEATURES if column.kind == "category"}
    rows = [row(at, features=features, model_version=HOSTILE) for at in range(50)]
    found = Text(page_of(service, rows))
    assert HOSTILE in found.text
    (named,) = re.findall(r"by more than noise: (.*?)\.", found.text)
    assert sorted(named.split(", ")) == sorted(column.name for column in FEATURES)
    assert found.tags & {"script", "img", "link", "iframe", "a", "style"} == {"style"}
    assert "http" not in re.sub(r"\s", "", found.text)


def test_what_is_not_known_is_missing_on_the_page(service: Service) -> None:
    page = text_of(page_of(service, [row(at) for at in range(50)], versions=None))
    assert "the versions of the model were not given" in page
    assert f"{VERSION} 50 50 " in page
    assert "error now 0 at training unknown" in page.replace("0.0 %", "0")
    assert "No prediction is stored." in text_of(page_of(service, []))
    empty = text_of(page_of(service, [row(0, outcome=None, features={})], Versions()))
    assert "No outcome of a prediction of the model is known." in empty
    bare = Versions.model_validate(
        {
            "current": VERSION,
            "versions": [{name: TRAINED[name] for name in ("version", "created_at", "observed")}],
            "log": [{}],
        }
    )
    page = text_of(page_of(service, [row(at, served_by="shadow") for at in range(3)], bare))
    assert "the model served 0 of 0 predictions" in page


@ON_SQLITE
def test_operators_see_the_page_and_callers_do_not(service: Service) -> None:
    operators = service.app.extensions["ops"].test_client()
    service.place()
    response = operators.get("/report")
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "served 1 of 1 predictions" in text_of(response.text)
    assert operators.post("/report").status_code == 405
    assert service.client.get("/report").status_code == 404


@ON_SQLITE
def test_the_model_server_tells_the_live_page_of_its_versions(service: Service) -> None:
    for told, shown in (
        (b'{"current": "one", "versions": [{"version": "one"}]}', True),
        (b"", False),
    ):
        service.predictor.told["versions"] = told
        service.restart()
        service.place()
        page = service.app.extensions["ops"].test_client().get("/report")
        assert page.status_code == 200
        assert ("the current version is one" in text_of(page.text)) == shown
    for broken in (b"[]", b"x"):
        service.predictor.told["versions"] = broken
        assert versions_of(service.predictor) is None
    service.predictor.error = GONE
    assert versions_of(service.predictor) is None


@ON_SQLITE
def test_a_page_without_a_database_is_a_problem(service: Service) -> None:
    service.put_aside("predictions")
    response = service.app.extensions["ops"].test_client().get("/report")
    assert (response.status_code, response.content_type) == (503, "application/problem+json")
    assert "database" in response.text
    service.put_back("predictions")
    assert service.app.extensions["ops"].test_client().get("/report").status_code == 200


@ON_SQLITE
def test_one_page_is_made_at_a_time_and_kept(service: Service) -> None:
    meanwhile: list[str] = []

    def versions() -> Versions | None:
        meanwhile.append(live.html())  # as another request would, while the page is being made
        return None

    live = LiveReport(service.url, versions, 250.0, Metrics())
    page = live.html()
    assert (live.html(), meanwhile) == (page, [""])


@ON_SQLITE
def test_the_metrics_tell_of_drift_and_error(service: Service) -> None:
    features = {column.name: value_of(column.kind, 0) for column in FEATURES[1:]}
    page_of(service, [row(at, features=features, outcome=WRONG) for at in range(100)])
    service.predictor.told["versions"] = VERSIONS.model_dump_json().encode()
    service.restart()
    report, operators = (service.app.extensions[name] for name in ("report", "ops"))
    wanted = {'feature_drifted{feature="' + each.name + '"} 1.0' for each in FEATURES}
    wanted |= {'prediction_error{of="mean"} ' + f"{4 if IS_REGRESSION else 1}.0"}
    wanted |= {'prediction_error{of="training"} 0.5'}
    assert "feature_drifted{" not in operators.test_client().get("/metrics").text
    report.refresh()
    assert wanted <= {*operators.test_client().get("/metrics").text.splitlines()}
    service.predictor.error = GONE  # then it is told as it was known last
    report.refresh()
    assert wanted <= {*operators.test_client().get("/metrics").text.splitlines()}


def test_a_chart_is_the_same_for_the_same_data_and_has_no_text_but_its_title() -> None:
    points = [(0.5, 1.0, 1.5), None, (1.0, 2.0, 3.0), (1.0, 2.0, 9.0)]
    first, again = (charts.lines(HOSTILE, [points], 4, mark=1) for _ in range(2))
    assert first == again
    assert "<title>&lt;script&gt;" in first
    assert first.count('class="line s0"') == 2  # it breaks where nothing is known
    assert all(0 <= int(y) <= 300 for y in re.findall(r",(\d+)", first))
    for drawn in (
        charts.columns("x", [[1, 2], [0, 0]], 3),
        charts.pairs("x", [(HOSTILE, 0.5, 0.25), ("b", 0, 0)]),
        charts.dots("x", [(1, 0.5, 1, 1.5), (2, 1.5, 2, 2.5)]),
        charts.lines("x", [[]], 1),
        charts.pairs("x", []),
        charts.dots("x", []),
    ):
        assert set(Text(drawn).tags) <= {"svg", "title", "path"}
        assert not re.search(r"nan|inf|-\d{4}", drawn)


def test_intervals_of_mean_errors_are_those_of_the_textbooks() -> None:
    assert Sums(5, 1, 1.0, 1.0).interval is None
    if IS_REGRESSION:  # mean 2, standard deviation of the sample 1
        expected = (2 - 1.96 / 3**0.5, 2, 2 + 1.96 / 3**0.5)
        assert Sums(3, 3, 6.0, 14.0).interval == pytest.approx(expected)
    else:  # Newcombe (1998), table I: 15 of 148, and 0 of 20
        assert Sums(148, 148, 15.0, 15.0).interval == pytest.approx(
            (0.0624, 0.1014, 0.1605), abs=2e-4
        )
        assert Sums(20, 20, 0.0, 0.0).interval == pytest.approx((0.0, 0.0, 0.1611), abs=2e-4)


def test_percentiles_lie_in_the_bin_that_holds_them() -> None:
    daily = [("2026-11-28", "model", "v", at, Sums(100)) for at in (10, 11)]
    p50, _, p99 = facts.latency(daily, ["2026-11-28"])
    assert p50 == pytest.approx(LATENCIES[10])
    assert LATENCIES[10] < (p99 or 0) < LATENCIES[11]
    assert facts.latency(daily, ["2026-11-27"]) == [None] * 3


def test_verdicts() -> None:
    assert [facts.verdict(each, 1, 2) for each in (0, 1, 2)] == ["ok", "look", "act"]
    errors = [(at, at, at) for at in (1.0, 1.2, 1.6)]
    assert [facts.worse(each, 1.0) for each in errors] == ["ok", "look", "act"]
    assert facts.worse((1.3, 1.3, 1.3), 1.0, baseline=1.25) == "act"  # no better than a constant
    assert facts.worse(None, 1.0) == facts.worse((1, 1, 1), None) == ""


def test_the_command_writes_the_page(
    service: Service, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", service.url)
    service.place()
    (tmp_path / "versions.json").write_text(VERSIONS.model_dump_json())
    done = CliRunner().invoke(main, ["report", "--versions", "versions.json"])
    assert (done.exit_code, done.stdout) == (0, "The report is in var/report.html.\n")
    page = (tmp_path / "var/report.html").read_text("utf-8")
    assert "Model card" in page
    told = json.loads((tmp_path / "var/report.json").read_text("utf-8"))
    assert (told["version"], told["served"]) == (VERSION, {"model": 1, "fallback": 0, "none": 0})
    for wrong in ("", "[]", json.dumps({"versions": [{"version": 3}]})):
        (tmp_path / "versions.json").write_text(wrong)
        done = CliRunner().invoke(main, ["report", "--versions", "versions.json"])
        assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
        assert done.stderr.startswith("Error: --versions: ")
    assert (tmp_path / "var/report.html").read_text("utf-8") == page
