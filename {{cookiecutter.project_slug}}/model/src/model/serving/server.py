"""The server as processes: gunicorn with its ASGI worker, on a private socket or a port."""

import gc
import os
import socket
import stat
from pathlib import Path
from typing import Any

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from model import logs
from model.artifacts.store import Store
from model.artifacts.verification import verify
from model.engines.loading import engine_type, log_version
from model.errors import ModelError
from model.serving.app import create_app
from model.serving.worker import GunicornWorker
from model.settings import Settings

WORKER_TIMEOUT_SECONDS = 30
"""Seconds without a sign of life after which a worker is replaced."""
KEEPALIVE_SECONDS = 5
"""Seconds without a request after which a connection is closed."""
SOCKET_PATH_BYTES = 107
"""Bytes that the address of a unix socket holds (unix(7))."""


def serve(settings: Settings) -> None:
    """Serve the current version until stopped; raises ModelError before anything is started."""
    if not settings.model_tokens:
        raise ModelError("MODEL_TOKENS: is empty; `make setup` puts one into .env")
    bind = settings.bind
    manifest = verify(Store(settings.model_store).folder(), settings.model_verify_keys).manifest
    if bind.startswith("unix:"):
        bind = f"unix:{private_socket(bind.removeprefix('unix:'))}"
    logs.configure(settings)
    log_version(manifest)
    # The engine's libraries are imported before the fork: workers start sooner and share their
    # memory. The artifact is loaded in each worker: a reload serves what is current by then.
    engine_type(manifest)
    gc.freeze()  # a search for garbage in a worker would write to what it shares
    Server(settings, bind).run()


def private_socket(address: str) -> str:
    """The path to bind a socket at: in a private folder, with nothing there.

    Raises:
        ModelError: the folder is open to others, or the path is taken or too long.
    """
    path = Path(address)
    short = min(str(path), os.path.relpath(path), key=lambda each: len(os.fsencode(each)))
    if len(os.fsencode(short)) > SOCKET_PATH_BYTES:
        raise ModelError(f"MODEL_URL: the path is longer than {SOCKET_PATH_BYTES} bytes: {short}")
    mask = os.umask(0o077)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_IMODE(path.parent.stat().st_mode) & 0o077:
            fault = f"{path.parent} is open to other users"
            raise ModelError(f"MODEL_URL: {fault}; give the socket a folder of its own")
        if path.exists() and not path.is_socket():
            raise ModelError(f"MODEL_URL: {path} is not a socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(short)
        raise ModelError(f"MODEL_URL: a server is listening at {path} already")
    except (FileNotFoundError, ConnectionRefusedError):
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"MODEL_URL: {path}: {error.strerror}") from None
    finally:
        os.umask(mask)
    return short


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn with these settings: it reads no file and no variable of its own."""

    def __init__(self, settings: Settings, bind: str) -> None:
        self._settings = settings
        self._bind = bind
        super().__init__()

    def load_config(self) -> None:
        """Set the options."""
        options: dict[str, Any] = {
            "bind": self._bind,
            "workers": self._settings.model_workers,
            "worker_class": GunicornWorker,
            "asgi_loop": "asyncio",
            "http_parser": "python",
            "asgi_disconnect_grace_period": 0,  # a caller who left ends its request at once
            "umask": 0o177,  # the socket's mode becomes 0600
            "control_socket_disable": True,
            "timeout": WORKER_TIMEOUT_SECONDS,
            "graceful_timeout": 10,
            "keepalive": KEEPALIVE_SECONDS,
            "logger_class": logs.GunicornLogger,
            "loglevel": self._settings.log_level,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The application, in the worker that will run it."""
        try:
            app = create_app(self._settings)
        except ModelError as error:
            structlog.get_logger().error(str(error))
            raise SystemExit(Arbiter.WORKER_BOOT_ERROR) from None
        gc.freeze()  # or all that stays for good is searched for garbage while callers wait
        return app
