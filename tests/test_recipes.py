"""A project's own table "How do I change …", followed row by row to a green `make check`."""

import re
import subprocess
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from conftest import reserved_port
from test_projects import WITHOUT_ALIKE, environment, on_the_bench
from test_running import fresh_database, made_up

Stamp = Callable[..., Path]
pytestmark = pytest.mark.slow

FEATURES = "contract/src/contract/features.py"
SERVICE = "service/src/service"
ORDER = {"hour": 11.9, "day": "Thu", "distance": 3.15, "items": 4}


def rows_of(readme: str) -> dict[str, tuple[str, str]]:
    """The table's rows: what to change, to where and what to run then."""
    table = readme.partition("## How do I change")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.replace("\\|", "/").split(" | ")] for line in lines[2:]]
    return {what.removeprefix("| "): (where, then) for what, where, then in cells}


def edit(path: Path, old: str, *lines: str) -> None:
    """Put lines in the place of a text, which must be there."""
    text = path.read_text("utf-8")
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, "\n".join(lines), 1), "utf-8")


def add(path: Path, after: str, *lines: str) -> None:
    """Put lines behind a text, which must be there."""
    edit(path, f"{after}\n", after, *lines, "")


def run(project: Path, command: str, **settings: str) -> str:
    """Run a command in the project; what it prints."""
    done = subprocess.run(
        command,
        shell=True,
        cwd=project,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def serve_one_order(
    project: Path, model_url: str = "http+unix://run/model.sock", **settings: str
) -> None:
    """`make up`, an order that the model predicts, and a stop."""
    with made_up(project, model_url, MODEL_DEADLINE="10", **settings) as public:
        placed = httpx.post(f"{public}/orders", json=ORDER, timeout=30)
        assert placed.status_code == 201, placed.text
        assert placed.json()["metadata"]["served_by"] == "model"


def estimator(project: Path) -> None:
    edit(project / "model/src/model/pipeline.py", "learning_rate=0.05", "learning_rate=0.1")


def derived(project: Path) -> None:
    add(
        project / FEATURES,
        '    """What `derive` computes."""',
        "",
        "    weekend: types.Bool",
        '    """On a weekend."""',
        "",
        "    per_item: types.Float",
        '    """Distance per item."""',
    )
    edit(
        project / FEATURES,
        "    return Derived()",
        "    return Derived(",
        '        weekend=inputs.day in ("Sat", "Sun"),',
        "        per_item=inputs.distance / max(inputs.items, 1),",
        "    )",
    )


def looked_up(project: Path) -> None:
    add(
        project / FEATURES,
        '    """What the service\'s own database adds: `service/features.py` looks it up."""',
        "",
        "    earlier: types.Int | None = None",
        '    """Orders before this one."""',
    )
    look_up = project / SERVICE / "features.py"
    edit(
        look_up,
        "    return LookedUp()",
        "    return LookedUp(earlier=session.scalar(select(func.count(tables.Order.id))))",
    )
    edit(
        look_up,
        "from sqlalchemy.orm import Session",
        "from sqlalchemy import func, select",
        "from sqlalchemy.orm import Session",
    )
    add(
        look_up,
        "from contract import Derived, Features, Inputs, LookedUp, assemble",
        "from service import tables",
    )


def zone(project: Path) -> None:
    edit(project / "contract/src/contract/timezone.py", '"UTC"', '"Asia/Kolkata"')


def new_input(project: Path) -> None:
    for wrong, fault in {"tip": "type", "tip:float": "tip:float?", "hour:int?": "taken"}.items():
        with pytest.raises(AssertionError, match=re.escape(fault)):
            run(project, f"make field NAME='{wrong}'")
    assert "Next" in run(project, "make field NAME='tip:float?'")


def answer(project: Path) -> None:
    schemas = project / SERVICE / "schemas.py"
    add(
        schemas,
        '    metadata: Metadata\n    """What was expected."""',
        "",
        "    created_at: datetime",
        '    """When it was placed."""',
    )
    edit(
        schemas,
        "from typing import Any, Literal",
        "from datetime import datetime",
        "from typing import Any, Literal",
    )
    add(
        project / SERVICE / "use_cases.py",
        "        id=row.id,",
        "        created_at=row.created_at,",
    )


def stored(project: Path) -> None:
    add(
        project / SERVICE / "tables.py",
        "    latency_ms: Mapped[float]",
        "    note: Mapped[str | None]",
    )
    run(project, "service/.venv/bin/service migrate")
    run(project, "service/.venv/bin/service revision 'add note'")
    run(project, ".venv/bin/ruff format service")


def database(project: Path) -> None:
    with fresh_database(project) as url:
        serve_one_order(project, DATABASE_URL=url)


def place(project: Path) -> None:
    with reserved_port() as port:
        serve_one_order(project, f"http://127.0.0.1:{port}")
    serve_one_order(project, "library:artifacts")
    serve_one_order(project, "subprocess:")


def tried_out(project: Path) -> None:
    url = "http+unix://run/model.sock"
    serve_one_order(project, MODEL_CANARY_URL=url, MODEL_CANARY_SHARE="1", MODEL_SHADOW_URL=url)


def limits(project: Path) -> None:
    edit(project / "model/src/model/limits.py", "BASELINE = 0.01", "BASELINE = 0.02")


def store(project: Path) -> None:
    assert "copied to var/other" in run(project, "model/.venv/bin/model push var/other")
    elsewhere = run(project, "model/.venv/bin/model versions", MODEL_STORE="var/other")
    assert len(elsewhere.splitlines()) == 1


def token(project: Path) -> None:
    edit(project / ".env", "MODEL_TOKENS=", "MODEL_TOKENS=a-new-one-of-more-than-32-characters,")
    serve_one_order(project)


def callers(project: Path) -> None:
    key, line = run(project, "service/.venv/bin/service key shop 2>/dev/null").split()
    with made_up(project, "http+unix://run/model.sock", API_KEYS=line) as public:
        for sent, status in ((key, 201), ("another", 401)):
            headers = {"Authorization": f"Bearer {sent}"}
            assert httpx.post(f"{public}/orders", json=ORDER, headers=headers).status_code == status


def peers(project: Path) -> None:
    serve_one_order(project, "http+unix://run/shared/model.sock", MODEL_PEERS="12345")


def signed(project: Path) -> None:
    make_pair = rows_of((project / "README.md").read_text("utf-8"))["who may make a version"][0]
    run(project, make_pair.split("`")[1])
    keys = {"MODEL_SIGNING_KEY": "signing.pem", "MODEL_VERIFY_KEYS": "verify.pem"}
    run(project, "make train", FORCE="1", **keys)
    serve_one_order(project, **keys)
    for path in ("signing.pem", "verify.pem"):
        (project / path).unlink()


def traces(project: Path) -> None:
    paths: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        serve_one_order(project, OTEL_EXPORTER_OTLP_ENDPOINT=url)
        server.shutdown()
    assert set(paths) == {"/v1/traces"}


def errors(project: Path) -> None:
    serve_one_order(project, SENTRY_DSN="http://key@127.0.0.1:1/1")


def outliers(project: Path) -> None:
    edit(project / "model/src/model/training/outliers.py", "LEAST = 100", "LEAST = 50")


def deadline(project: Path) -> None:
    serve_one_order(project)  # which has another than the default


def split(project: Path) -> None:
    edit(project / "model/src/model/pipeline.py", 'SPLIT = "order"', 'SPLIT = "shuffled"')


def judged(project: Path) -> None:
    edit(
        project / "model/src/model/training/evaluation.py",
        '            "root_mean_squared_error"',
        '            "median_absolute_error": metrics.median_absolute_error('
        "targets, predictions.values),",
        '            "root_mean_squared_error"',
    )


def dependency(project: Path) -> None:
    add(project / "model/pyproject.toml", '  "threadpoolctl>=3.6",', '  "tabulate>=0.9",')


RECIPES: dict[str, Callable[[Path], None]] = {
    "the estimator": estimator,
    "a feature derived": derived,
    "a feature that the database knows": looked_up,
    "the time zone": zone,
    "a new input": new_input,
    "the shape of the public answer": answer,
    "what is stored": stored,
    "the database": database,
    "where the model runs": place,
    "which version is tried out": tried_out,
    "the token": token,
    "who may call the API": callers,
    "who may call the model": peers,
    "how long a request waits": deadline,
    "what a version must be": limits,
    "where the versions are": store,
    "who may make a version": signed,
    "where traces go": traces,
    "who is told of errors": errors,
    "which rows it is judged on": split,
    "which targets": outliers,
    "how the model is judged": judged,
    "a dependency": dependency,
}
"""What follows each row, by the words that it begins with."""


def shorten_history(project: Path) -> None:
    """Keep the latest rows alone, which are trained on more quickly."""
    path = project / "data/history.csv"
    header, *rows = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join([header, *rows[-2000:]]), "utf-8")


def test_every_row_of_the_table_leads_to_a_green_check(stamp: Stamp, tmp_path: Path) -> None:
    project = on_the_bench(stamp(tmp_path))
    table = rows_of((project / "README.md").read_text("utf-8"))
    assert len(table) == len(RECIPES)
    run(project, "make setup")
    examples = project / "contract/src/contract/examples.json"
    stamped = examples.read_bytes()
    assert "unchanged" in run(project, "make golden")
    assert examples.read_bytes() == stamped
    shorten_history(project)
    for (what, (where, then)), (begin, follow) in zip(table.items(), RECIPES.items(), strict=True):
        assert what.startswith(begin), what
        for path in re.findall(r"`([a-z]+/[\w/]+\.py)`", where):
            assert (project / path).is_file(), path
        follow(project)
        for command in re.findall(r"`((?:make|service/\S+) [^`]+)`", then):
            steps = command.removesuffix(" check")  # which comes at the end, once for all of them
            if steps not in ("make", "make up"):
                run(project, steps, FORCE="1")  # whether the model is better for it or not
    assert "split: shuffled" in run(project, "model/.venv/bin/model show")
    assert "median_absolute_error" in run(project, "model/.venv/bin/model show")
    assert len(list((project / "contract/src/contract/golden").iterdir())) == 2
    print(run(project, "make check", PYTEST_ADDOPTS=WITHOUT_ALIKE))
    with pytest.raises(AssertionError, match="Required test coverage"):
        run(project, "cd contract && .venv/bin/pytest --cov --cov-report= tests/test_types.py")
