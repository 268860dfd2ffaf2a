"""`make audit` in a project: a known vulnerability fails it, a service out of reach does not."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Stamp
from test_projects import environment

pytestmark = pytest.mark.slow
LEAK = {
    "id": "GHSA-leak",
    "summary": "leaks",
    "affected": [{"package": {"ecosystem": "PyPI", "name": "flask"}, "ranges": []}],
}


@contextmanager
def osv(status: int, vulnerabilities: dict[str, list[Any]]) -> Iterator[str]:
    """The URL of a stand-in for osv.dev, which knows vulnerabilities by package."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = vulnerabilities.get(query["package"]["name"])
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def project(stamp: Stamp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stamp(tmp_path_factory.mktemp("audit"))


@pytest.mark.parametrize(
    ("status", "vulnerabilities", "exit_status", "said"),
    [
        (200, {}, 0, "No known vulnerabilities found"),
        (200, {"flask": [LEAK]}, 2, "GHSA-leak"),
        (503, {}, 0, "not audited for known vulnerabilities: "),
    ],
)
def test_findings_fail_and_silence_is_told(
    project: Path, status: int, vulnerabilities: dict[str, Any], exit_status: int, said: str
) -> None:
    with osv(status, vulnerabilities) as url:
        audit = subprocess.run(
            ["make", "--silent", "audit"],
            cwd=project,
            env={**environment(), "PIP_AUDIT_OSV_URL": url, "NO_PROXY": "127.0.0.1"},
            stdout=subprocess.PIPE,
            text=True,
        )
    assert audit.returncode == exit_status, audit.stdout
    assert said in audit.stdout
