"""The default project, stamped out and running: its page in a browser, its model to strangers."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from conftest import reserved_port
from playwright.sync_api import Page, Request, sync_playwright
from test_projects import REPOSITORY, environment

Stamp = Callable[..., Path]
CLIENTS = Path(__file__).parent / "clients"
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("running")]


@dataclass
class Running:
    """Where a project runs."""

    project: Path
    public: str
    private: str
    token: str

    def infer(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the private server answers to this inference request."""
        answer = httpx.post(
            f"{self.private}/v2/models/order-wait-times/infer",
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
        )
        assert answer.status_code == 200, answer.text
        parsed: dict[str, Any] = answer.json()
        return parsed


@pytest.fixture(scope="module")
def running(stamp: Stamp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The default project under `make up`."""
    project = stamp(tmp_path_factory.mktemp("running"))
    subprocess.run(["make", "setup"], cwd=project, env=environment(), check=True)
    with reserved_port() as private, made_up(project, f"http://127.0.0.1:{private}") as public:
        token = (project / ".env").read_text().strip().partition("=")[2]
        yield Running(project, public, f"http://127.0.0.1:{private}", token)


@contextmanager
def fresh_database(project: Path) -> Iterator[str]:
    """The URL of a PostgreSQL database of its own, reached with what the project has installed."""
    server = os.environ.get("TEST_POSTGRES_URL")
    if not server:
        pytest.fail("TEST_POSTGRES_URL is not set")
    name = f"test_{uuid4().hex}"

    def execute(statement: str) -> None:
        code = (
            f"import psycopg; psycopg.connect({server!r}, autocommit=True).execute({statement!r})"
        )
        subprocess.run([project / "service/.venv/bin/python", "-c", code], check=True)

    execute(f"CREATE DATABASE {name}")
    try:
        yield f"{server.rpartition('/')[0]}/{name}"
    finally:
        execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def made_up(project: Path, model_url: str, **settings: str) -> Iterator[str]:
    """The address of a project's service under `make up`, once it says that it is ready."""
    with reserved_port() as port:
        process = subprocess.Popen(
            ["make", "up"],
            cwd=project,
            env=environment(MODEL_URL=model_url, PORT=str(port), PYTHONUNBUFFERED="1", **settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        lines: list[str] = []
        try:
            for line in process.stdout or ():
                lines.append(line)
                if "Ctrl-C stops both" in line:
                    break
            else:
                pytest.fail("".join(lines))
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=60)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page in real Chromium that reaches this machine alone."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=[
                "--no-sandbox",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )
        yield browser.new_page()
        browser.close()


def test_the_docs_work_in_a_browser_without_internet(running: Running, page: Page) -> None:
    requests: list[str] = []
    errors: list[str] = []

    def note(request: Request) -> None:
        requests.append(request.url)

    page.on("request", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda message: errors.append(message.text) if message.type == "error" else None,
    )
    page.goto(f"{running.public}/docs")
    post = page.locator(".opblock-post", has_text=re.compile(r"/orders(?!/)")).first
    post.click()
    post.get_by_role("button", name="Try it out").click()
    post.get_by_role("button", name="Execute").click()
    status = post.locator(".live-responses-table tr.response .response-col_status").first
    status.wait_for()
    assert status.inner_text().startswith("201")
    assert "expected_wait_seconds" in post.locator(".live-responses-table").inner_text()
    assert not errors
    assert requests
    assert [url for url in requests if not url.startswith((running.public, "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def reports(running: Running) -> dict[str, str]:
    """The addresses of the report, live and as a file, once it has something to tell."""
    rows = json.loads((running.project / "contract/src/contract/examples.json").read_text("utf-8"))
    for row in rows:
        outcome = {"wait_seconds": row.pop("wait_seconds")}
        placed = httpx.post(f"{running.public}/orders", json=row).json()
        httpx.post(f"{running.public}/orders/{placed['id']}/outcome", json=outcome)
    subprocess.run(["make", "report"], cwd=running.project, env=environment(), check=True)
    port = int(running.public.rpartition(":")[2])
    ops = port + (100 if port <= 65435 else -100)
    return {
        "live": f"http://127.0.0.1:{ops}/report",
        "file": (running.project / "var/report.html").as_uri(),
    }


def watched(view: Page) -> list[str]:
    """The addresses that a page asks for, and what it complains of, from now on."""
    noted: list[str] = []
    view.on("request", lambda request: noted.append(request.url))
    view.on("console", lambda message: noted.append(message.text))
    view.on("pageerror", lambda error: noted.append(str(error)))
    return noted


@pytest.mark.parametrize("where", ["live", "file"])
def test_the_report_is_one_file_that_reads_well_anywhere(
    reports: dict[str, str], page: Page, where: str
) -> None:
    browser, colours = page.context.browser, []
    assert browser
    for scheme, width in (("light", 1180), ("dark", 1180), ("dark", 390)):
        view = browser.new_page(viewport={"width": width, "height": 844})
        view.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        noted = watched(view)
        view.goto(reports[where])
        assert noted == [reports[where]]
        assert view.evaluate("document.documentElement.scrollWidth") == width
        for name in ("Predictions a day, by who served them", re.compile("over time, by version")):
            assert view.get_by_role("img", name=name).is_visible()
        assert view.get_by_role("rowheader", name="distance").count() == 1
        drawn = "[...document.querySelectorAll('svg')].every(each => each.clientHeight > 20)"
        assert view.evaluate(drawn)
        assert len(view.screenshot(full_page=True)) > 20_000
        colours.append(view.evaluate("getComputedStyle(document.body).backgroundColor"))
        view.close()
    assert colours == ["rgb(246, 246, 243)", *["rgb(18, 21, 27)"] * 2]


@pytest.mark.parametrize("client", ["triton", "kserve"])
def test_clients_that_others_wrote_are_served(running: Running, client: str) -> None:
    rows = json.loads((running.project / "contract/src/contract/examples.json").read_text("utf-8"))
    done = subprocess.run(
        [
            REPOSITORY / ".venv-clients/bin/python",
            CLIENTS / f"{client}_client.py",
            running.private,
            running.token,
            json.dumps(rows),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    body = {
        "inputs": [
            {"name": name, "datatype": kind, "shape": [5], "data": [row[name] for row in rows]}
            for name, kind in (
                ("hour", "FP64"),
                ("day", "BYTES"),
                ("distance", "FP64"),
                ("items", "INT64"),
            )
        ]
    }
    assert seen["live"] is True
    assert seen["ready"] is True
    assert seen["predictions"] == running.infer(body)["outputs"][0]["data"]
    assert "hour" in seen["error"]
