"""Each model has connections, a queue and a deadline of its own."""

import base64
import json
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from conftest import (
    DISH,
    TOKEN,
    Fake,
    Front,
    Process,
    Server,
    asking,
    not_run,
    reserved_port,
    toml,
    wait_until,
)

from front.config import Config, Model


def test_a_model_that_hangs_is_refused_at_once_and_slows_no_other(
    model: Server, manifest: dict[str, Any], fake: Callable[..., Fake], front: Callable[..., Front]
) -> None:
    hung, other = fake("hung"), fake("other")
    own = model.section(manifest["model"])
    behind = front([hung.section(at_once=2, waiting=3), other.section(), own])
    hung.process.send(signal.SIGSTOP)
    with ThreadPoolExecutor(5) as pool:
        held = [pool.submit(behind.infer, "hung", 1) for _ in range(5)]
        busy = re.compile("<td>hung<td>1<td>[a-z ]+<td>0<td>0<td>0<td>5<td>")
        wait_until(lambda: busy.search(behind.client.get("/").text), "five do not wait")
        for value in range(50):
            refused = behind.infer("hung", value)
            assert refused.json() == {"error": "hung: too many requests wait"}
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert behind.infer("other", value).status_code == 200
        assert behind.client.get("/v2/models/own/ready").status_code == 200
        assert not any(each.done() for each in held)
        hung.process.send(signal.SIGCONT)
        assert [each.result().status_code for each in held] == [200] * 5
    assert len(hung.seen()) == 5


def test_a_model_that_is_killed_is_unavailable_until_it_is_back(
    fake: Callable[..., Fake], front: Callable[..., Front]
) -> None:
    gone, other = fake("gone"), fake("other")
    behind = front([gone.section(), other.section()])
    assert behind.infer("gone", 1).status_code == 200
    gone.process.kill()
    for value in range(10):
        answer = behind.infer("gone", value)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json() == {"error": "gone: its model server cannot be reached"}
        assert behind.infer("other", value).status_code == 200
    ready = "/v2/models/gone/ready"
    wait_until(lambda: behind.client.get(ready).status_code == 503, "ready without a server")
    assert behind.client.get("/v2/health/ready").status_code == 200
    states = {
        each["name"]: each["state"] for each in behind.client.post("/v2/repository/index").json()
    }
    assert states == {"gone": "UNAVAILABLE", "other": "READY"}
    gone.process.start()
    behind.wait("gone")
    assert behind.infer("gone", 1).status_code == 200


def test_a_model_that_was_never_seen_is_unavailable(
    fake: Callable[..., Fake], front: Callable[..., Front], folder: Path
) -> None:
    section = fake("here").section()
    behind = front(
        [section, {**section, "name": "never", "url": f"http+unix://{folder}/no"}], False
    )
    behind.wait("here")
    answer = behind.infer("never", 1)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_the_deadline_is_the_callers_or_the_models_whichever_is_first(
    fake: Callable[..., Fake], front: Callable[..., Front]
) -> None:
    server = fake("sizes")
    behind = front([server.section(timeout_ms=5000)])
    for given, most in ((None, 5000), ("60000", 5000), ("3000", 3000)):
        headers = {} if given is None else {"X-Request-Timeout-Ms": given}
        assert behind.infer("sizes", 1, headers=headers).status_code == 200
        passed = int(server.seen()[-1]["headers"]["x-request-timeout-ms"])
        assert most - 2000 < passed <= most
    server.tell(seconds=30)
    late = behind.infer("sizes", 1, headers={"X-Request-Timeout-Ms": "200"})
    assert (late.status_code, late.json()) == (
        504,
        {"error": "sizes: the model gave no answer in time"},
    )
    for wrong in ("-1", "1.5", "x", "9" * 10):
        answer = behind.infer("sizes", 1, headers={"X-Request-Timeout-Ms": wrong})
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("X-Request-Timeout-Ms: ")


def test_each_server_gets_its_own_token_and_what_belongs_to_the_request(
    fake: Callable[..., Fake], front: Callable[..., Front]
) -> None:
    servers = [fake("one"), fake("two")]
    behind = front([each.section() for each in servers])
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    sent = {"X-Request-ID": "r-1", "traceparent": parent, "tracestate": "x=1", "X-Other": "no"}
    for server in servers:
        answer = behind.infer(server.name, 1, headers=sent)
        assert answer.status_code == 200
        headers = server.seen()[0]["headers"]
        assert headers["authorization"] == f"Bearer {server.token}"
        assert TOKEN not in str(server.seen())
        passed = {name: headers.get(name.lower()) for name in sent}
        assert passed == {**sent, "X-Other": None}


@pytest.mark.parametrize(
    ("status", "told"),
    [(400, 400), (404, 404), (503, 503), (401, 502), (403, 502), (500, 502), (302, 502)],
)
def test_a_fault_of_the_caller_is_told_and_any_other_is_the_fronts(
    fake: Callable[..., Fake], front: Callable[..., Front], status: int, told: int
) -> None:
    behind = front([fake("sizes", status=status).section()])
    answer = behind.infer("sizes", 1)
    assert (answer.status_code, answer.json()) == (told, {"error": "sizes: as told"})


def test_two_versions_of_one_name_are_told_apart(
    fake: Callable[..., Fake], front: Callable[..., Front]
) -> None:
    old, new = fake("old", version="1"), fake("new", version="2")
    behind = front([{**each.section(each.name), "name": "sizes"} for each in (old, new)], False)
    path = "/v2/models/sizes"
    for version in ("1", "2"):
        pinned = f"{path}/versions/{version}"
        behind.wait(f"sizes/versions/{version}")
        answer = behind.client.post(f"{pinned}/infer", json=asking(1)).json()
        assert (answer["model_name"], answer["model_version"]) == ("sizes", version)
        assert behind.client.get(pinned).json()["versions"] == [version]
    assert new.seen()[0]["path"] == "/v2/models/new/versions/2/infer"
    assert behind.infer("sizes", 1).json()["model_version"] == "1"
    unknown = behind.client.post(f"{path}/versions/3/infer", json=asking(1))
    assert (unknown.status_code, unknown.json()["error"][-4:]) == (404, "1, 2")


def test_a_caller_asks_only_the_models_that_it_may(
    fake: Callable[..., Fake], front: Callable[..., Front], folder: Path
) -> None:
    other = secrets.token_urlsafe(32)
    (folder / "others").write_text(f"{secrets.token_urlsafe(32)}\n{other}\n")
    callers = {"others": {"tokens_file": str(folder / "others"), "models": ["two"]}}
    behind = front([fake("one").section(), fake("two").section()], callers=callers)
    mine = {"Authorization": f"Bearer {other}"}
    assert behind.infer("two", 1, headers=mine).status_code == 200
    assert behind.infer("one", 1, headers=mine).status_code == 404
    assert behind.infer("one", 1).status_code == 200
    index = behind.client.post("/v2/repository/index", headers=mine).json()
    assert [each["name"] for each in index] == ["two"]
    assert "<td>one" not in behind.client.get("/", headers=mine).text
    assert behind.infer("none", 1).status_code == 404
    assert behind.client.post("/v2/models/one/forget", json=asking(1)).status_code == 404


def test_the_inventory_tells_what_is_there(
    fake: Callable[..., Fake], front: Callable[..., Front]
) -> None:
    behind = front([fake("sizes", version="<b>").section(waiting=7)])
    behind.infer("sizes", 1)
    assert behind.client.get("/", headers={"Authorization": ""}).status_code == 401
    password = base64.b64encode(f"me:{TOKEN}".encode()).decode()  # as a browser sends it
    page = behind.client.get("/", headers={"Authorization": f"Basic {password}"})
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert (
        "<td>sizes<td>&lt;b&gt;<td>answers<td>1<td>0<td>0<td>0<td>8 at once, 7 waiting" in page.text
    )
    assert "<script" not in page.text
    about = behind.client.get("/v2").json()
    assert about["name"] == "front"


class Rude(BaseHTTPRequestHandler):
    """A model server that hangs up on as many requests as `rest` says."""

    protocol_version = "HTTP/1.1"
    asked = rest = 0

    def do_GET(self) -> None:
        self._answer({"name": "rude", "versions": ["1"], "inputs": asking(1)["inputs"]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        Rude.asked, Rude.rest = Rude.asked + 1, Rude.rest - 1
        if Rude.rest >= 0:
            self.close_connection = True
        else:
            self._answer({"model_version": "1", "outputs": []})

    def _answer(self, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def test_a_server_that_closes_a_kept_connection_is_asked_again_once(
    stack: ExitStack, front: Callable[..., Front], folder: Path
) -> None:
    server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Rude))
    thread = Thread(target=server.serve_forever)
    thread.start()
    stack.callback(thread.join)
    stack.callback(server.shutdown)
    (folder / "token").write_text(TOKEN)
    url = f"http://127.0.0.1:{server.server_port}"
    behind = front([{"name": "rude", "url": url, "tokens_file": str(folder / "token")}])
    for hang_ups, asked, status in ((0, 1, 200), (1, 2, 200), (5, 2, 502)):
        Rude.asked, Rude.rest = 0, hang_ups
        assert behind.infer("rude", 1).status_code == status
        assert Rude.asked == asked
    stack.callback(behind.stop)  # first of all, or its connection keeps the server's thread


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"url": "http://model.internal:9000"}, "url"),
        ({"url": "ftp://x"}, "url"),
        ({"at_once": 0}, "at_once"),
        ({"atonce": 1}, "atonce"),
        ({"tokens_file": "/nowhere"}, "/nowhere"),
        ({"features": {"database": "x", "table": "a", "key": "k"}}, "columns"),
    ],
)
def test_a_wrong_configuration_stops_the_start(
    folder: Path, changes: dict[str, Any], fault: str
) -> None:
    (folder / "token").write_text(TOKEN)
    known = {"name": "a", "url": "https://x", "tokens_file": str(folder / "token")}
    with pytest.raises(subprocess.CalledProcessError) as stopped:
        start(folder, [{**known, **changes}])
    assert fault in stopped.value.stderr
    assert TOKEN not in stopped.value.stderr


def start(folder: Path, models: list[dict[str, Any]]) -> None:
    callers = {"orders": {"tokens_file": str(folder / "token")}}
    (folder / "front.toml").write_text(toml({"callers": callers, "models": models}))
    command = [sys.executable, "-c", "from front.app import create_app; create_app()"]
    environment = {"FRONT_CONFIG": str(folder / "front.toml"), "PATH": ""}
    subprocess.run(command, cwd=DISH, env=environment, check=True, capture_output=True, text=True)


def test_the_file_that_is_there_shows_all_that_may_stand_in_it(folder: Path) -> None:
    (folder / "token").write_text(TOKEN)
    text = re.sub(r"(?m)^# (?=[\[a-z])", "", (DISH / "front.toml").read_text("utf-8"))
    text = re.sub('"(build|secrets)/[^"]*"', json.dumps(str(folder / "token")), text)
    text = re.sub("(?m)^One .*$", "", text)
    config = Config.model_validate(tomllib.loads(text))
    assert len(config.models) == 2
    assert config.models[1].model_fields_set == set(Model.model_fields)


def test_a_server_over_tls_is_shown_a_certificate(
    stack: ExitStack, front: Callable[..., Front], folder: Path
) -> None:
    if shutil.which("openssl") is None:
        not_run("openssl is not installed: nothing was tested of TLS")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-x509", "-days", "2"]
    for name in ("server", "client"):
        files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
        alternative = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        command: list[Any] = ["openssl", "req", *new, *alternative, *files]
        subprocess.run(command, check=True, capture_output=True)
    port = stack.enter_context(reserved_port())
    tls = {"ssl_certfile": "server.pem", "ssl_keyfile": "server.key", "ssl_ca_certs": "client.pem"}
    options = [each for item in tls.items() for each in (item[0], folder / item[1])]
    fake = Path(__file__).with_name("fake.py")
    served: list[Any] = [sys.executable, fake, "-", "sizes", "port", str(port), *options]
    stack.callback(Process(served).stop)
    (folder / "token").write_text(TOKEN)
    known = {
        "name": "sizes",
        "url": f"https://127.0.0.1:{port}",
        "tokens_file": str(folder / "token"),
    }
    shown = {"ca": "server.pem", "certificate": "client.pem", "key": "client.key"}
    paths = {key: str(folder / value) for key, value in shown.items()}
    behind = front([{**known, "tls": paths}, {**known, "name": "stranger"}], False)
    behind.wait("sizes")
    assert behind.infer("sizes", 1).status_code == 200
    assert behind.infer("stranger", 1).status_code == 503
