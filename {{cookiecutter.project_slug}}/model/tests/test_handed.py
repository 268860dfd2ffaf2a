"""The server as the child of another process, which hands over its connections."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import PATIENCE, Connection

from model.artifacts.store import Store
from model.errors import ModelError
from model.serving.handed import Handed

COMMAND = [sys.executable, "-c", "import model.cli; model.cli.main()", "serve"]


@contextmanager
def child(
    store: Store, folder: Path, command: list[str] | None = None
) -> Iterator[tuple["subprocess.Popen[bytes]", socket.socket]]:
    """A server without a token, and what to hand connections over with."""
    control, its_end = socket.socketpair()
    settings = {
        "MODEL_URL": f"fd://{its_end.fileno()}",
        "MODEL_STORE": str(store.path),
        "MODEL_TOKENS": "",
        "TMPDIR": str(folder),
    }
    with control:
        with its_end:
            process = subprocess.Popen(
                command or COMMAND, env={**os.environ, **settings}, pass_fds=[its_end.fileno()]
            )
        try:
            yield process, control
        finally:
            process.kill()
            process.wait()


def hand_over(control: socket.socket) -> Connection:
    """A connection to the server; one that is starting takes it later."""
    own, its_end = socket.socketpair()
    own.settimeout(PATIENCE)
    with its_end:
        socket.send_fds(control, [b"\0"], [its_end.fileno()])
    connection = Connection(0)
    connection.sock = own
    return connection


@pytest.mark.slow
def test_it_answers_without_a_token_until_the_other_end_is_closed(
    store: Store, tmp_path: Path
) -> None:
    with child(store, tmp_path) as (process, control):
        connections = [hand_over(control) for _ in range(3)]
        for connection in connections * 2:
            status, body = connection.ask(Authorization="")
            assert (status, body["model_version"]) == (200, store.current())
        assert list(tmp_path.iterdir())
        control.close()
        assert process.wait(PATIENCE) == 0
        assert all(connection.ends() for connection in connections)
        for connection in connections:
            connection.close()
    assert not list(tmp_path.iterdir())


def test_what_is_no_socket_is_rejected(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        for number in (file.fileno(), 10**6):
            with pytest.raises(ModelError, match=r"MODEL_URL: fd://.* the service starts this"):
                Handed.at(f"fd://{number}")
