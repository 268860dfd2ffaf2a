"""`service check`, from outside: of a pair that works, and of one in which one thing is wrong."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from conftest import ROOT, TARGET, TOKEN, Pair

Change = Callable[[dict[str, Any]], object]

GOOD = {
    "database": "ok",
    "migrations": "ok",
    "writing": "ok",
    "model": "ok",
    "contract": "ok",
    "predictions": "ok",
}


def check(pair: Pair, **changes: str) -> tuple[dict[str, str], str]:
    """The result of each check, and all that it printed."""
    variables = {**pair.service.environment, **changes}
    venv = "dev" if variables["MODEL_URL"].startswith("library:") else "service"
    command = [str(ROOT / venv / ".venv/bin/service"), "check"]
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    header, *lines = done.stdout.splitlines()
    second, third = header.index("RESULT"), header.index("FOUND")
    found = {line[:second].strip(): line[second:third].strip() for line in lines}
    assert done.returncode == (0 if found == GOOD else 1), done.stderr
    assert done.stderr == ""
    assert TOKEN not in done.stdout
    return found, done.stdout


@contextmanager
def tampered(pair: Pair, metadata: Change, answer: Change) -> Iterator[str]:
    """The URL of a server that passes all on to the pair's model, and changes what comes back."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.pass_on(pair.private.get(self.path).json(), metadata)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.pass_on(pair.private.post(self.path, content=body).json(), answer)

        def pass_on(self, message: dict[str, Any], change: Change) -> None:
            change(message)
            body = json.dumps(message).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def as_it_is(message: dict[str, Any]) -> None:
    pass


def test_all_is_ok_and_nothing_is_changed(pair: Pair, manifest: dict[str, Any]) -> None:
    before = pair.place()["id"]
    found, text = check(pair)
    assert found == GOOD, text
    assert f"{len(manifest['self_test']['predictions'])} rows" in text
    assert f"version {manifest['version']}" in text
    pair.model.has_logged("request_id", "check-0")
    assert pair.place()["id"] == before + 1


def test_the_model_is_down(pair: Pair) -> None:
    pair.model.stop()
    found, text = check(pair)
    pair.model.start()
    pair.wait("ok")
    missing = {"model": "failed", "contract": "not tried", "predictions": "not tried"}
    assert found == GOOD | missing, text
    assert "start the model server" in text


def test_the_database_is_not_migrated(pair: Pair, database: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    (tmp_path / "empty.db").touch()
    if database.startswith("postgresql"):
        url = os.environ["TEST_POSTGRES_URL"]
    found, text = check(pair, DATABASE_URL=url)
    assert found == GOOD | {"migrations": "failed", "writing": "not tried"}, text
    assert "run `service migrate`" in text


def test_the_database_is_not_there(pair: Pair) -> None:
    found, text = check(pair, DATABASE_URL="postgresql://somebody:a-password@127.0.0.1:1/x")
    rest = {"migrations": "not tried", "writing": "not tried"}
    assert found == GOOD | {"database": "failed"} | rest, text
    assert "a-password" not in text


def test_the_model_is_a_library(pair: Pair, store: Path) -> None:
    found, text = check(pair, MODEL_URL=f"library:{store}")
    assert found == GOOD, text


def test_the_model_is_a_child(pair: Pair) -> None:
    found, text = check(pair, MODEL_URL="subprocess:")
    assert found == GOOD, text


def test_the_model_was_made_for_another_contract(pair: Pair) -> None:
    def change(message: dict[str, Any]) -> None:
        message["parameters"]["signature"] = "0" * 16
        terms = json.loads(message["parameters"]["contract"])
        terms["features"]["unheard_of"] = "float"
        message["parameters"]["contract"] = json.dumps(terms)

    with tampered(pair, change, as_it_is) as url:
        found, text = check(pair, MODEL_URL=url)
    assert found == GOOD | {"contract": "failed", "predictions": "not tried"}, text
    assert "deploy both sides from one commit" in text


def test_one_prediction_is_wrong_on_the_way(pair: Pair) -> None:
    def change(message: dict[str, Any]) -> None:
        if message["id"] == "check-2":
            for tensor in message["outputs"]:
                if tensor["datatype"] == "FP64":
                    tensor["data"] = [each * 0.999 for each in tensor["data"]]

    with tampered(pair, as_it_is, change) as url:
        found, text = check(pair, MODEL_URL=url)
    assert found == GOOD | {"predictions": "failed"}, text
    assert "for row 2" in text
    assert TARGET in text
