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
from types import TracebackType
from typing import Any, Self

import psycopg

from demo import reserved_port
from faults.operating_system import NotRun, children, wait_until

MAX_CONNECTIONS = 40


class Postgres:
    """A server on a port of its own, with an empty database; raises NotRun where there is none."""

    def __enter__(self) -> Self:
        newest = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"))][-1:]
        initdb = shutil.which("initdb", path=os.pathsep.join(map(str, newest))) or shutil.which(
            "initdb"
        )
        if initdb is None:
            raise NotRun("initdb is not installed")
        self._bin = Path(initdb).resolve().parent
        # It refuses to run as root.
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        self._folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        if self._user:
            shutil.chown(self._folder, "postgres")
        name = self._user.get("user") or getpass.getuser()
        self._port = reserved_port()
        port = self._port.__enter__()
        self.url = f"postgresql://{name}@127.0.0.1:{port}/postgres"
        subprocess.run(
            [initdb, "--auth=trust", "--no-sync", f"--pgdata={self._folder}/data"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **self._user,
        )
        self._options = [
            "-p",
            str(port),
            "-k",
            str(self._folder),
            "-c",
            "listen_addresses=127.0.0.1",
        ]
        self._options += ["-c", f"max_connections={MAX_CONNECTIONS}"]
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(signal.SIGQUIT)
        self._port.__exit__(None, None, None)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it; return once it takes connections."""
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", f"{self._folder}/data", *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            **self._user,
        )
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
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

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
