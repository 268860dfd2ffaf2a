"""Good answers are taken, bad ones rejected: all faults at once, and nothing left behind."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ANSWERS, DEFAULTS, TEMPLATE, Stamp, StampFailed, answers_with
from cookiecutter.utils import create_env_with_context

from stamping.answers import SAMPLE_FITS, all_faults
from stamping.jinja import plural

FORTY = "f" * 40
FAULTS = [
    ("project_name", "", "neither a letter"),
    ("project_name", "🚀", "neither a letter"),
    ("project_name", "Orders\n- injected: yes", r"holds '\n'"),
    ("project_name", 'The "Orders"', "holds '\"'"),
    ("project_name", " Orders", "starts or ends with a space"),
    ("project_name", "O" * 61, "longer than 60"),
    ("description", "C:\\orders", r"holds '\\'"),
    ("description", 'closes """ itself', "holds '\"'"),
    ("description", "bell \a", r"holds '\x07'"),
    ("description", "right-to-left \u202e", r"holds '\u202e'"),
    ("description", "${{ secrets.TOKEN }}", "holds '$' '{' '}'"),
    ("description", "zero\u200bwidth", r"holds '\u200b'"),
    ("team", "<script>", "holds '<' '>'"),
    ("team", "\u3164orders", r"holds '\u3164'"),
    ("history", "no\nwhere/\u202ex.csv", r"no\nwhere"),
    ("project_slug", "Orders", "not kebab-case"),
    ("project_slug", "order_times", "not kebab-case"),
    ("project_slug", "orders-", "not kebab-case"),
    ("project_slug", "-", "not kebab-case"),
    ("project_slug", "7orders", "not kebab-case"),
    ("project_slug", "o" * 41, "longer than 40"),
    ("entity", "", "not snake_case"),
    ("entity", "Order", "not snake_case"),
    ("entity", "sales order", "not snake_case"),
    ("entity", "órder", "not snake_case"),
    ("entity", "_order", "not snake_case"),
    ("entity", "class", "taken by Python"),
    ("entity", "none", "taken by Python"),
    ("entity", "prediction", "taken by the stamped code"),
    ("entity", "o" * 41, "longer than 40"),
    ("entity", "request", "taken by the stamped code"),
    ("__plural", "readyz", "taken by the stamped code"),
    ("__plural", "predictions", "taken by the stamped code"),
    ("__plural", "order", "taken by the entity"),
    ("__plural", "or-ders", "not snake_case"),
    ("features", "", "there is none"),
    ("features", "hour", "none of the types"),
    ("features", "hour:flaot", "none of the types"),
    ("features", "hour:float??", "none of the types"),
    ("features", "hour:float,day:category", "none of the types"),
    ("features", "hour:", "none of the types"),
    ("features", ":float", "without a name"),
    ("features", "Hour:float", "write hour"),
    ("features", "hour:float hour:int", "'hour' is there more than once"),
    ("features", "lambda:float", "write lambda_"),
    ("features", "ctid:int", "write ctid_"),
    ("features", "metadata:float", "write metadata_"),
    ("features", "copy:float", "write copy_"),
    ("features", "expected_wait_seconds:float", "the name of the prediction itself"),
    ("features", "model_dump:int", "write xmodel_dump"),
    ("features", f"{FORTY}f:int", f"write {FORTY}"),
    ("features", "Sepal.Length:float", "write sepal_length"),
    ("features", "größe:float", "write grosse"),
    ("target", "hour:float", "among the features"),
    ("target", "wait:float?", "may not be missing"),
    ("target", "wait", "none of the types"),
    ("target", "", "without a name"),
    ("target", "id:int", "write id_"),
    ("target", "wait:datetime", "is a datetime"),
    ("target", "wait:float x:int", "none of the types"),
    ("split", "", "is none of order"),
    ("split", "random", "is none of order"),
    ("split", "time", "is none of order"),
    ("split", "time:", "names no column"),
    ("split", "order:hour", "is none of order"),
    ("split", "time:placed_at", "none of the features"),
    ("split", "time:day", "has no order in time"),
    ("split", "group:wait_seconds", "is the target"),
    ("__timezone", "Mars/Olympus", "is no time zone"),
    ("__timezone", "", "is no time zone"),
    ("__timezone", "../UTC", "is no time zone"),
    ("__timezone", 'UTC")\nimport os #', "is no time zone"),
    ("__target", 'wait"\nimport os\n"', "leave it out"),
    ("__target_kind", "int", "'int' is not 'float'"),
    ("__entity_class", "Order(Base): pass", "'Order(Base): pass' is not 'Order'"),
    ("__task", "binary", "leave it out"),
    ("_new_lines", "\r\n", "leave it out"),
]
GOOD = [
    {"entity": "order"},
    {"entity": "user", "project_slug": "a1"},
    {"entity": "case", "features": "match:category"},
    {"entity": "setting", "features": "list:int property:category?"},
    {"features": "table:float user:category select:int model_year:int class_:bool id_:int"},
    {"features": "at:datetime late:datetime?", "split": "time:at", "__timezone": "Asia/Kolkata"},
    {"split": "group:day"},
    {"split": "shuffled"},
    {"__plural": "values"},
    {
        "project_name": "Café d'Été - Größe 🚀",
        "team": "l'équipe",
        "description": "Ça dure 5 % de +!",
    },
    {"features": f"{FORTY}:float?", "target": "t:bool", "project_slug": "o" * 40},
    {"features": " ".join(f"f{number}:category?" for number in range(40)), "target": "t:category"},
]


def bytes_of(project: Path) -> dict[str, str]:
    return {
        str(path.relative_to(project)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in project.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(("answer", "value", "fault"), FAULTS)
def test_fault_is_found(answer: str, value: str, fault: str) -> None:
    faults = all_faults(ANSWERS | {answer: value})
    assert any(line.startswith(f"{answer}: ") and fault in line for line in faults), faults
    assert all("\n" not in line for line in faults)


@pytest.mark.parametrize("answers", GOOD)
def test_good_answers_have_no_fault(answers: dict[str, str]) -> None:
    assert all_faults(answers_with(answers)) == []


def test_all_faults_are_told_at_once_and_nothing_is_left(stamp: Stamp, tmp_path: Path) -> None:
    faults = {
        "project_name": ('quotes """ here', "holds"),
        "project_slug": ("No/t kebab", "not kebab-case"),
        "description": ('ends """ + "\\', "holds"),
        "team": ("two\nlines", r"holds '\n'"),
        "entity": ("import", "taken by Python"),
        "__plural": ("docs", "taken by the stamped code"),
        "__target": ('wait"; import os #', "leave it out"),
        "features": ("a:int a:flaot", "more than once"),
        "target": ("a:bool?", "among the features"),
        "history": ("nowhere.csv", "there is no file"),
    }
    with pytest.raises(StampFailed) as rejected:
        stamp(tmp_path, **{answer: value for answer, (value, _) in faults.items()})
    lines = str(rejected.value).splitlines()
    for answer, (_, fault) in faults.items():
        assert any(line.startswith(f"{answer}: ") and fault in line for line in lines), answer
    assert list(tmp_path.iterdir()) == []


def test_a_fault_is_told_without_a_traceback(stamp: Stamp, tmp_path: Path) -> None:
    with pytest.raises(StampFailed) as rejected:
        stamp(tmp_path, features="Foo:float", history="none")
    lines = str(rejected.value).split("\n")
    assert "features: 'Foo' is no name of a column; write foo" in lines
    assert len(lines) < 8
    assert "Traceback" not in str(rejected.value)


@pytest.mark.parametrize("slug", ["a/b", "../nearby/b", "{tmp}/absolute/b", "UPPER", "-"])
def test_a_rejected_slug_leaves_no_folder(stamp: Stamp, tmp_path: Path, slug: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(StampFailed, match="not kebab-case"):
        stamp(out, project_slug=slug.format(tmp=tmp_path))
    assert list(tmp_path.rglob("*")) == [out]


def test_an_old_cookiecutter_is_rejected(tmp_path: Path) -> None:
    metadata = tmp_path / "cookiecutter-2.6.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: cookiecutter\nVersion: 2.6.0\n")
    code = f"from stamping.answers import all_faults; print(all_faults({ANSWERS!r}))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(TEMPLATE)])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "this is 2.6.0, and the template needs 2.7 or later" in result.stdout


def test_the_hook_knows_the_answers_that_the_sample_fits() -> None:
    assert (DEFAULTS["features"], DEFAULTS["target"]) == SAMPLE_FITS


@pytest.mark.parametrize(
    ("entity", "many"),
    [
        ("order", "orders"),
        ("biopsy", "biopsies"),
        ("box", "boxes"),
        ("day", "days"),
        ("dish", "dishes"),
        ("batch", "batches"),
        ("loss", "losses"),
        ("status", "statuses"),
        ("diagnosis", "diagnoses"),
        ("quiz", "quizzes"),
        ("waltz", "waltzes"),
        ("sales_person", "sales_people"),
        ("child", "children"),
        ("y", "ys"),
        ("person", "people"),
    ],
)
def test_plural_follows_english(entity: str, many: str) -> None:
    assert plural(entity) == many


def test_plural_can_be_overridden(stamp: Stamp, tmp_path: Path) -> None:
    project = stamp(tmp_path, entity="sheep", __plural="flock")
    tables = (project / "service" / "src" / "service" / "tables.py").read_text("utf-8")
    assert '__tablename__ = "flock"' in tables


@pytest.mark.parametrize(
    ("name", "slug"), [("Café d'Été", "cafe-d-ete"), ("A & B_c", "a-b-c"), ("🚀", "-")]
)
def test_slug_follows_the_name(name: str, slug: str) -> None:
    environment = create_env_with_context({"cookiecutter": {}})
    render = environment.from_string(DEFAULTS["project_slug"]).render
    assert render(cookiecutter={"project_name": name}) == slug


@pytest.mark.parametrize("answers", [{}, {"history": "none", "target": "late:bool"}])
def test_the_same_answers_give_the_same_bytes(
    stamp: Stamp, tmp_path: Path, answers: dict[str, str]
) -> None:
    one, other = stamp(tmp_path / "one", **answers), stamp(tmp_path / "other", **answers)
    assert bytes_of(one) == bytes_of(other)
    texts = (path for path in one.rglob("*.*") if path.is_file() and path.suffix != ".webp")
    assert all(b"\r\n" not in path.read_bytes() for path in texts)
