"""What goes wrong with the service's own processes."""

from collections.abc import Iterator
from dataclasses import replace

from faults.operating_system import wait_until
from faults.processes import System
from faults.scenarios import Limits, scenario

RESTART = Limits(ready=None)
"""What is planned loses nothing."""

KILL = replace(RESTART, failed=None, misses=None)
"""Who is killed answers nobody; but what was acknowledged is there, and nothing is there twice."""


@scenario(KILL, quick=True)
def service_worker_killed(system: System) -> Iterator[None]:
    """A worker of the service is killed (-9)."""
    system.service.kill_worker()
    yield


@scenario(KILL)
def service_master_killed(system: System) -> Iterator[None]:
    """The service's master is killed (-9), and started again."""
    system.kill_master(system.service)
    system.service.start()
    yield


@scenario(replace(RESTART, shed=None, misses=None), handed_over=True)
def service_restarted(system: System) -> Iterator[None]:
    """The service is stopped (SIGTERM) and started on the same socket."""
    system.expect(system.service.stop() == 0, "it did not stop cleanly")
    system.service.start(system.listeners)
    yield


@scenario(RESTART, handed_over=True)
def rolling_restart(system: System) -> Iterator[None]:
    """Ten times, a second instance of the service takes over from the first."""
    for _ in range(10):
        old = system.service.pid
        system.service.start(system.listeners)
        wait_until(lambda: len(system.service.workers()) == 2, "the second instance has workers")
        system.expect(system.service.stop(pid=old) == 0, "it did not stop cleanly")
    yield
