"""The server as a child: too many connections, another version, no version and no parent."""

import ctypes
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_history, train
from support import PATIENCE, eventually
from test_handed import COMMAND, child, hand_over

from model.artifacts.store import Store

pytestmark = pytest.mark.slow

PR_SET_CHILD_SUBREAPER = 36
PARENT = """
import os, socket, subprocess, sys, time
control, end = socket.socketpair()
url = {"MODEL_URL": f"fd://{end.fileno()}"}
options = {"env": {**os.environ, **url}, "pass_fds": [end.fileno()], "process_group": 0}
child = subprocess.Popen(sys.argv[1:], stdout=2, **options)
own, other = socket.socketpair()
socket.send_fds(control, [b"x"], [other.fileno()])
own.sendall(b"GET /v2/health/live HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
own.recv(1)
print(child.pid, flush=True)
time.sleep(1000)
"""


def test_connections_that_it_has_no_descriptor_for_are_closed_and_others_answered(
    store: Store, tmp_path: Path
) -> None:
    limited = ["sh", "-c", f"ulimit -n 60; exec {shlex.join(COMMAND)}"]
    with child(store, tmp_path, limited) as (_, control):
        first = hand_over(control)
        assert first.ask(Authorization="")[0] == 200
        others = [hand_over(control) for _ in range(100)]
        assert eventually(others[-1].ends)
        assert first.ask(Authorization="")[0] == 200
        for each in (first, *others):
            each.close()

        def answers() -> bool:
            again = hand_over(control)
            try:
                return again.ask(Authorization="")[0] == 200
            except ConnectionError:  # as long as it has not closed those
                return False
            finally:
                again.close()

        assert eventually(answers)


def test_another_version_becomes_current_on_connections_that_are_handed_over(
    tmp_path: Path,
) -> None:
    store, versions = Store(tmp_path / "store"), []
    for seed in (0, 1):
        manifest, files = train(make_history(120, seed))
        store.add(manifest, files)
        versions.append(manifest.version)
    store.promote(versions[0])
    with child(store, tmp_path) as (_, control):

        def version() -> str:
            connection = hand_over(control)
            status, body = connection.ask(Authorization="")
            connection.close()
            assert status == 200
            return str(body["model_version"])

        assert version() == versions[0]
        store.promote(versions[1])
        assert eventually(lambda: version() == versions[1])


def test_a_child_that_waits_for_the_first_version_ends_with_its_parent(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.path.mkdir()
    with child(store, tmp_path) as (process, control):
        hand_over(control).close()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)  # in which it mostly begins to wait
        control.close()
        process.wait(PATIENCE)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2)")
def test_a_child_that_is_stopped_ends_with_its_parent_also_in_a_container(
    store: Store, tmp_path: Path
) -> None:
    """There an orphan falls to a process of its session, and the system wakes no group."""
    prctl = ctypes.CDLL(None).prctl
    settings = {"MODEL_STORE": str(store.path), "MODEL_TOKENS": "", "TMPDIR": str(tmp_path)}
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        with subprocess.Popen(
            [sys.executable, "-c", PARENT, *COMMAND],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
        ) as parent:
            assert parent.stdout
            pid = int(parent.stdout.readline())
            os.kill(pid, signal.SIGSTOP)
            parent.kill()
        ended = eventually(lambda: os.waitpid(pid, os.WNOHANG)[0])
        if not ended:
            os.killpg(pid, signal.SIGKILL)
        assert ended
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0)
    assert not list(tmp_path.iterdir())
