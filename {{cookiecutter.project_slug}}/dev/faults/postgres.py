"""A PostgreSQL server of its own, to break."""

import getpass
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import psycopg

from faults.operating_system import NotRun, children, wait_until

MAX_CONNECTIONS = 40
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name <> 'chaos'
    AND pid <> pg_backend_pid()
"""
"""Ends the connections of all clients but those of the application `chaos`."""


class Postgres:
    """A server with an empty database; raises NotRun where PostgreSQL is not installed.

    Args:
        port: to listen on.
    """

    def __init__(self, port: int) -> None:
        newest = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"))][-1:]
        path = os.pathsep.join([*map(str, newest), os.environ["PATH"]])
        initdb = shutil.which("initdb", path=path)
        if initdb is None:
            raise NotRun("initdb is not installed")
        self._bin = Path(initdb).resolve().parent
        self._folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        # It refuses to run as root.
        self._options: dict[str, Any] = {"cwd": "/", "stdout": DEVNULL, "stderr": DEVNULL}
        name = getpass.getuser()
        if os.geteuid() == 0:
            name = "postgres"
            self._options |= {"user": name, "group": name, "extra_groups": []}
            shutil.chown(self._folder, name)
        self.url = f"postgresql://{name}@127.0.0.1:{port}/postgres"
        make = [initdb, "--auth=trust", "--no-sync", f"--pgdata={self._folder}/data"]
        subprocess.run(make, check=True, **self._options)
        self._arguments = ["-p", str(port), "-k", str(self._folder), "-D", f"{self._folder}/data"]
        self._arguments += ["-h", "127.0.0.1", "-N", str(MAX_CONNECTIONS)]
        self.start()

    def end(self) -> None:
        """Stop it, and remove its data."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it; return once it takes connections."""
        command = [str(self._bin / "postgres"), *self._arguments]
        self._process = subprocess.Popen(command, start_new_session=True, **self._options)
        wait_until(self._answers, "PostgreSQL takes connections")

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it, by default in the fast way, which ends what its clients are doing."""
        self._process.send_signal(number)
        self._process.wait(30)

    def execute(self, statement: str) -> None:
        """Execute a statement."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)

    def cut(self) -> None:
        """End the connections of all clients."""
        self.execute(CUT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let all of its processes stand still."""
        processes = [self._process.pid, *children(self._process.pid)]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True
