"""The path of a unix socket that is private."""

import os
import socket
import stat
import time
from contextlib import suppress
from pathlib import Path

from model.errors import ModelError

SOCKET_PATH_BYTES = 107
"""Bytes that the address of a unix socket holds (unix(7))."""
ORPHAN_SECONDS = 2.0
"""Seconds within which the workers of a master that was killed have ended."""


def private_socket(address: str, shared: bool = False) -> str:
    """The path to bind a socket at: in a private folder, with nothing there.

    Args:
        address: where it shall be.
        shared: whether other users may call, who pass the folder, but do not look into it: all,
            or those of its group.

    Raises:
        ModelError: the folder is another's or open to others, or the path is taken or too long.
    """
    path = Path(address)
    short = min(str(path), os.path.relpath(path), key=lambda each: len(os.fsencode(each)))
    if len(os.fsencode(short)) > SOCKET_PATH_BYTES:
        raise ModelError(f"MODEL_URL: the path is longer than {SOCKET_PATH_BYTES} bytes: {short}")
    denied = 0o066 if shared else 0o077
    mask = os.umask(denied)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = path.parent.stat()
        if folder.st_uid != os.geteuid():
            raise ModelError(f"MODEL_URL: {path.parent} belongs to another user")
        if folder.st_mode & denied:
            fault = f"{path.parent} is open to other users"
            raise ModelError(f"MODEL_URL: {fault}; give the socket a folder of its own")
        if shared and not folder.st_mode & (stat.S_IXGRP | stat.S_IXOTH):
            remedy = f"`chmod 711 {path.parent}`, or 710 for those of its group"
            raise ModelError(f"MODEL_PEERS: cannot pass {path.parent}; {remedy}")
        if path.exists() and not path.is_socket():
            raise ModelError(f"MODEL_URL: {path} is not a socket")
        if _is_served(short):
            raise ModelError(f"MODEL_URL: a server is listening at {path} already")
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"MODEL_URL: {path}: {error.strerror}") from None
    finally:
        os.umask(mask)
    return short


def wait_for_orphans(path: str) -> None:
    """Give workers whose master was killed the time to end."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    with suppress(OSError):  # of a path that is explained elsewhere
        while _is_served(path) and time.monotonic() < deadline:
            time.sleep(0.05)


def _is_served(path: str) -> bool:
    """Whether a server listens at this path; raises OSError if that cannot be told."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True
