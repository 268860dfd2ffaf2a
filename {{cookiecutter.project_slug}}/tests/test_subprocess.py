"""The model server as a child of the service: whatever ends or hangs, no order fails."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Pair, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


class Parent(Pair):
    """A service whose one worker is the parent of its model server."""

    def __init__(self, folder: Path, store: Path) -> None:
        super().__init__(folder, store, f"sqlite:///{folder / 'test.db'}", "subprocess:")
        self.service.environment |= {"WORKERS": "1", "MODEL_DEADLINE": "0.5"}

    def processes(self) -> list[int]:
        """The service's worker, gunicorn's master of the model server, and its worker."""
        found = [self.service.pid]
        while children := children_of(found[-1]):
            found.append(children[0])
        return found[1:]

    def is_served_by_the_model(self) -> bool:
        """Place an order, which must not fail; whether the model predicted."""
        by: str = self.place()["metadata"]["served_by"]
        assert by in ("model", "fallback")
        return by == "model"

    def wait_for_the_model(self, holds: Callable[[], bool] = lambda: True) -> None:
        """Place orders until the model predicts again, and this holds."""
        wait_until(
            lambda: self.is_served_by_the_model() and holds(), self.service.log.read_text, 120
        )

    def wait_for_the_end(self, pids: list[int]) -> None:
        wait_until(lambda: not any(map(is_running, pids)), self.service.log.read_text, 60)


def stat_of(pid: int | str) -> list[str]:
    """What is known of a process after its name: its state, its parent, …; nothing if it is not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def is_running(pid: int) -> bool:
    return stat_of(pid)[:1] not in ([], ["Z"])


def children_of(pid: int) -> list[int]:
    everything = (path.name for path in Path("/proc").glob("[0-9]*"))
    return [int(each) for each in everything if stat_of(each)[1:2] == [str(pid)]]


@pytest.fixture(scope="module")
def running(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parent]:
    parent = Parent(tmp_path_factory.mktemp("parent"), store)
    with parent.running():
        yield parent


@pytest.fixture
def parent(running: Parent) -> Parent:
    """With both sides up, as after each test before."""
    wait_until(lambda: len(running.processes()) == 3, running.service.log.read_text, 60)
    running.wait_for_the_model()
    return running


@pytest.mark.parametrize(
    ("number", "which"),
    [(signal.SIGKILL, 1), (signal.SIGKILL, 2), (signal.SIGSTOP, 2)],
    ids=["master-killed", "worker-killed", "worker-hangs"],
)
def test_no_order_fails_while_the_model_server_is_replaced(
    parent: Parent, number: int, which: int
) -> None:
    broken = parent.processes()[which]
    os.kill(broken, number)
    parent.wait_for_the_model(lambda: not is_running(broken))


@pytest.mark.parametrize("stopped", [[], [1], [2], [1, 2]])
def test_the_model_server_ends_with_the_process_that_started_it(
    parent: Parent, stopped: list[int]
) -> None:
    processes = parent.processes()
    for which in stopped:
        os.kill(processes[which], signal.SIGSTOP)
    os.kill(processes[0], signal.SIGKILL)
    parent.wait_for_the_end(processes)


def test_the_model_server_ends_with_a_service_that_is_killed(parent: Parent) -> None:
    processes = parent.processes()
    os.kill(parent.service.pid, signal.SIGKILL)
    parent.wait_for_the_end(processes)
    parent.service.stop()
    parent.service.start()
    parent.wait("ok")


def test_the_model_server_has_ended_when_the_service_has(parent: Parent) -> None:
    processes = parent.processes()
    assert parent.service.stop() == 0
    assert not any(map(is_running, processes))
    parent.service.start()
    parent.wait("ok")
