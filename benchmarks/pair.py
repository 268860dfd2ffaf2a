"""The pair: `POST /orders` through the service, for each way to its model and each database."""

import os
import re
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from contestants import OURS, STORES, TOKEN
from load import Target
from places import BENCH, HERE, PROJECT
from processes import Failed, do, free_port, running
from project import answers, rows
from visit import Address, Disqualified, check, loads, seconds_to_answer, spoken

WAYS = {
    "unix": "http+unix://run/bench.sock",
    "http": "http://127.0.0.1:{port}",
    "library": f"library:{STORES[OURS]}",
}
DATABASES = ("sqlite", "postgresql")
SERVER = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
FALLBACKS = re.compile(r'^predictions_total\{.*served_by="fallback".*\} (\S+)$', re.MULTILINE)
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of a new, empty database, for as long as it is needed."""
    if kind == "sqlite":
        file = BENCH / "pair.db"
        for old in BENCH.glob("pair.db*"):
            old.unlink()
        yield f"sqlite:///{file}"
        return
    name = f"bench_{os.getpid()}"
    python = PROJECT / "service/.venv/bin/python"
    manage = [python, HERE / "inside/database.py"]
    do([*manage, "create", SERVER, name], {}, PROJECT)
    try:
        yield urlunsplit(urlsplit(SERVER)._replace(path=f"/{name}"))
    finally:
        do([*manage, "drop", SERVER, name], {}, PROJECT)


def check_server() -> None:
    """Make a database and drop it again.

    Raises:
        Failed: there is no PostgreSQL server that lets us.
    """
    try:
        with database("postgresql"):
            pass
    except Failed as error:
        fault = str(error).rstrip().rpartition("\n")[2]
        raise Failed(
            f"TEST_POSTGRES_URL: no PostgreSQL server to make a database in: {SERVER}: {fault}"
        ) from None


@contextmanager
def started(way: str, url: str) -> Iterator[Address]:
    """The pair with one worker each, on this database; it may not be ready yet."""
    model_url = WAYS[way].format(port=free_port())
    port = free_port()
    environment = {
        "DATABASE_URL": url,
        "MODEL_URL": model_url,
        "MODEL_TOKENS": TOKEN,
        "MODEL_STORE": STORES[OURS],
        "WORKERS": "1",
        "PORT": str(port),
    }
    service = f"{'deploy' if way == 'library' else 'service'}/.venv/bin/service"
    do([service, "migrate"], environment, PROJECT)
    target = Target(f"http://127.0.0.1:{port}/orders", {}, [spoken(row) for row in rows()])
    with ExitStack() as stack:
        if way != "library":
            model = ["model/.venv/bin/model", "serve"]
            stack.enter_context(running(f"pair-{way}-model", model, environment, PROJECT))
        server = stack.enter_context(
            running(f"pair-{way}-service", [service, "serve"], environment, PROJECT)
        )
        yield Address(server, target, expected, answers())


def expected(order: Any) -> float:
    """The prediction in an order.

    Raises:
        Disqualified: it is not the model's.
    """
    metadata = order["metadata"]
    if metadata["served_by"] != "model":
        raise Disqualified(f"served by {metadata['served_by']}")
    return float(metadata["expected_wait_seconds"])


def fallbacks(address: Address) -> float:
    """How many orders were answered without the model so far."""
    with DIRECT.open(address.target.url.replace("/orders", "/metrics"), timeout=10) as response:
        return sum(map(float, FALLBACKS.findall(response.read().decode())))


def visit_pair(way: str, kind: str, seconds: int) -> dict[str, Any]:
    """The load that the pair bears, by the number of connections.

    Raises:
        Disqualified: an order was answered wrongly, late, or without the model.
    """
    with database(kind) as url, started(way, url) as address:
        seconds_to_answer(address)
        check(address)
        before = fallbacks(address)
        load = loads(address.target, seconds)
        if missed := fallbacks(address) - before:
            raise Disqualified(f"{missed:.0f} orders were answered without the model")
        return {"load": load}
