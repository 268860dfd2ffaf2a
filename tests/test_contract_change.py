"""The walk-through of a change of the contract, with live traffic: nobody waits for the other side.

Two releases of a project stand side by side; the later one has one more input and one more derived
feature. Each side of either is asked by, and asks, each of the other.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from conftest import reserved_port
from test_projects import Stamp, environment, on_the_bench

pytestmark = pytest.mark.slow

PATIENCE = 60.0
ROW = {"hour": 11.9, "day": "Thu", "distance": 3.15, "items": 4}
TOKEN = "a-token-of-at-least-32-characters"


class Release:
    """A project's folder, whose code runs wherever its packages are installed from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        units = ("contract", "service", "model")
        self.path = ":".join(str(folder / unit / "src") for unit in units)

    def command(self, unit: str, *arguments: str) -> list[str]:
        main = {"service": "service.cli", "model": "model.cli"}[unit]
        code = f"from {main} import main; main()"
        return [f"{unit}/.venv/bin/python", "-c", code, *arguments]

    def environment(self, **settings: str) -> dict[str, str]:
        quick = {"OMP_NUM_THREADS": "1", "MODEL_DEADLINE": "10", "MODEL_TOKENS": TOKEN}
        return environment(PYTHONPATH=self.path, LOG_FORMAT="json", **quick, **settings)

    def run(self, *command: str, **settings: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**settings),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    @contextmanager
    def serving(self, unit: str, log: Path, **settings: str) -> Iterator[None]:
        """One side of it as a process."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.command(unit, "serve"),
                cwd=self.folder,
                env=self.environment(**settings),
                stdout=output,
                stderr=output,
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)


def change_contract(release: Release) -> None:
    """One more input, as the README says, and a derived feature that needs none of it."""
    release.run("service/.venv/bin/python", "dev/field.py", "tip:float?")
    path = release.folder / "contract/src/contract/features.py"
    text = path.read_text("utf-8")
    text = text.replace(
        '"""What `derive` computes."""', '"""What `derive` computes."""\n\n    each: types.Float'
    ).replace("return Derived()", "return Derived(each=inputs.distance / (1 + abs(inputs.items)))")
    assert "each=inputs" in text
    path.write_text(text, "utf-8")


def train(release: Release, settings: dict[str, str]) -> str:
    """The version that a release makes of the history."""
    release.run(*release.command("model", "train", "--no-promote"), **settings)
    known = json.loads(release.run(*release.command("model", "versions", "--json"), **settings))
    version: str = known["versions"][-1]["version"]
    return version


def place(client: httpx.Client, **more: Any) -> dict[str, Any]:
    """What the service says of one order."""
    answer = client.post("/orders", json={**ROW, **more})
    assert answer.status_code == 201, answer.text
    metadata: dict[str, Any] = answer.json()["metadata"]
    return metadata


def test_both_sides_of_two_releases_understand_each_other(stamp: Stamp, tmp_path: Path) -> None:
    project = on_the_bench(stamp(tmp_path / "out"))
    subprocess.run(["make", "--silent", "setup"], cwd=project, env=environment(), check=True)
    venvs = shutil.ignore_patterns(".venv")
    later = Path(shutil.copytree(project, tmp_path / "later", ignore=venvs))
    for unit in ("", "contract", "service", "model"):
        (later / unit / ".venv").symlink_to(project / unit / ".venv")
    releases = Release(project), Release(later)
    store, database = tmp_path / "store", f"sqlite:///{tmp_path}/product.db"
    settings = {"MODEL_STORE": str(store), "DATABASE_URL": database}
    before = train(releases[0], settings)
    # The same code, data and settings make the same version, bit for bit, wherever they are.
    assert train(releases[1], {**settings, "MODEL_STORE": str(tmp_path / "other")}) == before
    change_contract(releases[1])
    after = train(releases[1], settings)
    assert after != before
    releases[1].run(*releases[1].command("service", "migrate"), **settings)

    def make_current(release: Release, version: str) -> None:
        force = ("--force", "--reason", "the walk-through")
        release.run(*release.command("model", "promote", version, *force), **settings)

    make_current(releases[0], before)
    with served(releases, settings, tmp_path) as clients:
        # Deployed in whichever order: four pairs, and the version before in all of them.
        answers = [place(client) for client in clients]
        assert {each["served_by"] for each in answers} == {"model"}
        assert {each["model_version"] for each in answers} == {before}
        assert len({each["expected_wait_seconds"] for each in answers}) == 1
        with traffic(clients) as seen:
            for release, version in ((releases[1], after), (releases[0], before)):
                make_current(release, version)
                wait_for(version, clients[2:])
        assert {each["served_by"] for each in seen} == {"model"}
        assert {each["model_version"] for each in seen} == {before, after}

        make_current(releases[1], after)
        wait_for(after, clients[2:])
        # What the earlier service does not send is derived, or missing.
        assert len({place(client)["expected_wait_seconds"] for client in clients[2:]}) == 1
        # The earlier model server cannot derive it: it says so, and serves what it served.
        assert {place(client)["model_version"] for client in clients[:2]} == {before}
        log = (tmp_path / "model-0.log").read_text("utf-8")
        assert "it needs each, which is neither optional nor derived" in log
        assert releases[1].run(*releases[1].command("service", "check"), **settings, **clients.url)


def wait_for(version: str, clients: list[httpx.Client]) -> None:
    """Wait until this version answers all of them."""
    deadline = time.monotonic() + PATIENCE
    while (found := {place(client)["model_version"] for client in clients}) != {version}:
        assert time.monotonic() < deadline, found


class Clients(list[httpx.Client]):
    """A client of each pair: both services of the earlier model server, then both of the later."""

    url: dict[str, str]


@contextmanager
def served(
    releases: tuple[Release, Release], settings: dict[str, str], folder: Path
) -> Iterator[Clients]:
    """Each service with each model server, all of them ready."""
    clients = Clients()
    with ExitStack() as stack:
        for model, release in enumerate(releases):
            socket = folder / f"run-{model}/model.sock"
            url = clients.url = {"MODEL_URL": f"http+unix://{socket}"}
            log = folder / f"model-{model}.log"
            stack.enter_context(release.serving("model", log, **settings, **url))
            for service, caller in enumerate(releases):
                ports = [stack.enter_context(reserved_port()) for _ in range(2)]
                own = {"PORT": str(ports[0]), "OPS_PORT": str(ports[1]), "WORKERS": "1"}
                log = folder / f"service-{model}-{service}.log"
                stack.enter_context(caller.serving("service", log, **settings, **url, **own))
                base = f"http://127.0.0.1:{ports[0]}"
                clients.append(stack.enter_context(httpx.Client(base_url=base, timeout=30)))
        for client in clients:
            deadline = time.monotonic() + PATIENCE
            while not is_ready(client):
                assert time.monotonic() < deadline, [
                    each.read_text()[-3000:] for each in folder.glob("*.log")
                ]
                time.sleep(0.05)
        yield clients


def is_ready(client: httpx.Client) -> bool:
    try:
        return bool(client.get("/readyz").json()["model"] == "ok")
    except (httpx.TransportError, KeyError):
        return False


@contextmanager
def traffic(clients: list[httpx.Client]) -> Iterator[list[dict[str, Any]]]:
    """Requests to all of them, one after the other, until the end; what was answered."""
    seen: list[dict[str, Any]] = []
    faults: list[BaseException] = []
    ended = Event()

    def call() -> None:
        try:
            while not ended.is_set():
                seen.extend(place(client) for client in clients)
        except BaseException as error:
            faults.append(error)

    thread = Thread(target=call)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
    assert not faults
