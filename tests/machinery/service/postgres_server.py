"""A PostgreSQL server of the tests' own, which may be stopped, frozen and started again."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from processes import reserved_port
from support import wait_until


def binaries() -> Path:
    """The folder of initdb and postgres; the test fails or is skipped when there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("no initdb, so no PostgreSQL server of the tests' own")
    return folders[-1]


class PostgresServer:
    """A server in a folder, on a port of its own.

    Attributes:
        url: of a database that holds nothing.
        log: with every statement.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port, self._binaries = folder, port, binaries()
        self.log = folder / "log"
        self._user = {}
        if os.geteuid() == 0:  # as whom PostgreSQL refuses to run
            self._user = {"user": "postgres", "group": "postgres"}
            shutil.chown(folder, "postgres", "postgres")
        self._run("initdb", "-D", "data", "-U", "postgres", "--auth=trust", "--no-sync")
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, *arguments],
            cwd=self._folder,
            check=True,
            capture_output=True,
            **self._user,
        )

    def start(self) -> None:
        """Start it, and return when it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._binaries / "postgres", "-D", "data", "-p", str(self._port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
                    *("-c", "fsync=off", "-c", "log_statement=all"),
                ],
                cwd=self._folder,
                stderr=log,
                **self._user,
            )
        wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as nobody's request; its rows."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """Stop it at once, and cut every connection."""
        if self._process:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let none of its processes do anything."""
        assert self._process
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)  # first, so that it starts no others
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        everything = [pid, *map(int, children)]
        for each in everything[1:]:
            os.kill(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in everything:
                with suppress(ProcessLookupError):  # it has ended since
                    os.kill(each, signal.SIGCONT)


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """A server that runs in a folder."""
    with reserved_port() as port:
        server = PostgresServer(folder, port)
        server.start()
        try:
            yield server
        finally:
            server.stop()
