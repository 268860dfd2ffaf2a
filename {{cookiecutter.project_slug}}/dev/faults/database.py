"""What goes wrong with the database."""

import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import Any

import psycopg

from demo import PLURAL
from faults.operating_system import NotRun
from faults.postgres import CUT, MAX_CONNECTIONS
from faults.processes import FOLDER, System
from faults.scenarios import Limits, scenario

GONE = Limits(shed=None, seconds=2.0, ready=503)
"""Without its database the service asks everybody to come back later, within two seconds."""

OTHERS: dict[str, Any] = {"autocommit": True, "application_name": "chaos"}

COMMITTING = 4
"""How many commits PostgreSQL may be in the middle of: it ends them even if nobody waits any more,
and gives who comes back with the same key the first answer."""

DISK = FOLDER / "disk"

BUSY = replace(GONE, ready=None)


@scenario(BUSY, lasts=8, quick=True)
def sqlite_locked(system: System) -> Iterator[None]:
    """SQLite is locked for 8 s."""
    with closing(sqlite3.connect(system.folder / "service.db", timeout=5)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def small_disk(stack: ExitStack) -> dict[str, str]:
    """The settings for a database on a disk of 128 MiB; raises NotRun where none can be mounted."""
    DISK.mkdir()
    stack.callback(DISK.rmdir)
    try:
        options = ("-t", "tmpfs", "-o", "size=128m", "chaos", str(DISK))
        subprocess.run(["mount", *options], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise NotRun("needs root, to mount a small disk") from None
    stack.callback(lambda: subprocess.run(["umount", "--lazy", DISK], check=True))
    return {"DATABASE_URL": f"sqlite:///{DISK}/service.db"}


@scenario(GONE, settings=small_disk)
def disk_full(system: System) -> Iterator[None]:
    """The disk of SQLite is full."""
    filler = DISK / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))  # so that not a page is left
    yield
    filler.unlink()


@scenario(GONE)
def disk_read_only(system: System) -> Iterator[None]:
    """The files of SQLite become read-only, and the service reloads."""
    files = [str(system.folder), *map(str, system.folder.glob("service.db*"))]
    try:
        subprocess.run(["chattr", "+i", *files], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise NotRun("needs root and `chattr`") from None
    system.service.send(signal.SIGHUP)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *files], check=True)


@scenario(replace(GONE, left=COMMITTING), postgres=True)
def postgres_frozen(system: System) -> Iterator[None]:
    """PostgreSQL is frozen (SIGSTOP)."""
    with system.server.frozen():
        yield


@scenario(BUSY, postgres=True)
def postgres_restarted(system: System) -> Iterator[None]:
    """PostgreSQL is restarted."""
    system.server.stop()
    system.server.start()
    yield


@scenario(BUSY, postgres=True)
def postgres_cut(system: System) -> Iterator[None]:
    """Every connection to PostgreSQL is cut, ten times."""
    for _ in range(10):
        system.server.cut()
        time.sleep(0.2)
    yield


@scenario(BUSY, postgres=True, lasts=8)
def postgres_locked(system: System) -> Iterator[None]:
    """A table of PostgreSQL is locked for 8 s."""
    with psycopg.connect(system.server.url) as other:
        other.execute(f"LOCK TABLE {PLURAL} IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


@scenario(GONE, postgres=True)
def postgres_read_only(system: System) -> Iterator[None]:
    """PostgreSQL takes no writes any more."""
    for state in ("on", "off"):
        system.server.execute(f"ALTER SYSTEM SET default_transaction_read_only = {state}")
        system.server.execute("SELECT pg_reload_conf()")
        if state == "on":
            yield


@scenario(BUSY, postgres=True)
def postgres_exhausted(system: System) -> Iterator[None]:
    """Others hold all connections of PostgreSQL."""
    with ExitStack() as others:
        first = others.enter_context(psycopg.connect(system.server.url, **OTHERS))
        for _ in range(MAX_CONNECTIONS):
            try:
                others.enter_context(psycopg.connect(system.server.url, **OTHERS))
            except psycopg.OperationalError:  # the service holds the others: take them from it
                first.execute(CUT)
        yield
