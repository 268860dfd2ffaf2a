"""Connections that the service hands over one by one, to the server that it has started itself.

There is no port and no path at which anybody else could connect, so no token is asked for.
"""

import ctypes
import os
import select
import signal
import socket
import sys

from model.errors import explained

TICK_SECONDS = 0.25
"""Seconds between two looks at the service while this process starts."""
PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that comes when the parent is gone."""


class Handed(socket.socket):
    """In place of a listener: one end of a pair of sockets (`SCM_RIGHTS` in unix(7)).

    Each byte that comes has the descriptor of a connection with it. The end of the stream is the
    end of the service, however that came about.
    """

    @classmethod
    def at(cls, bind: str) -> "Handed":
        """The one with the descriptor in `fd://number`; raises ModelError if it is no socket."""
        with explained(f"MODEL_URL: {bind}", "the service starts this server: `subprocess:`"):
            handed = cls(fileno=int(bind.removeprefix("fd://")))
            handed.setblocking(False)
            handed.set_inheritable(False)
        if sys.platform == "linux":  # whoever has been stopped would never see that it is alone
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGCONT)
        handed.watch(TICK_SECONDS)
        return handed

    def __str__(self) -> str:
        """What gunicorn logs as the place to listen at."""
        return "a pair of sockets"

    @property
    def sock(self) -> "Handed":
        """Itself: gunicorn has listeners with a socket in them."""
        return self

    def listen(self, backlog: int = 0) -> None:
        """Do nothing."""

    def accept(self) -> tuple[socket.socket, None]:
        """The next connection; ends this worker if no other can come.

        Raises:
            BlockingIOError: there is none yet.
            ConnectionAbortedError: it was lost, since this process has too many files open.
        """
        message, descriptors, *_ = socket.recv_fds(self, 1, 1)
        if not message:
            sys.exit()
        if not descriptors:
            raise ConnectionAbortedError
        return socket.socket(fileno=descriptors[0]), None

    def watch(self, period: float) -> None:
        """End this process when the service is gone, by a look every so many seconds; 0: no more.

        A store may be empty, or a bucket silent, for long.
        """

        def look(*_: object) -> None:
            if self.is_abandoned():
                os._exit(1)

        signal.signal(signal.SIGALRM, look if period else signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, period, period)

    def is_abandoned(self) -> bool:
        """Whether the service is gone."""
        poll = select.poll()
        poll.register(self, 0)
        return bool(poll.poll(0))
