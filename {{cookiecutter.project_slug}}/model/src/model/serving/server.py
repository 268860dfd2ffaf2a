"""The server as processes: gunicorn with its ASGI worker, on a private socket or a port."""

import gc
import os
import shutil
import signal
import sys
from tempfile import mkdtemp
from typing import Any

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from model import logs
from model.artifacts.verification import VerifiedArtifact, verify
from model.engines.loading import Model, engine_type, log_version
from model.errors import ModelError
from model.serving.access import tls_of, tokens_of
from model.serving.app import create_app
from model.serving.following import Following
from model.serving.handed import Handed
from model.serving.master import Master
from model.serving.metrics import Metrics, forget, reload_failing, share
from model.serving.unix import private_socket, wait_for_orphans
from model.serving.worker import GunicornWorker
from model.settings import Settings

WORKER_TIMEOUT_SECONDS = 30
"""Seconds without a sign of life after which a worker is replaced."""
STOP_SECONDS = 10
"""Seconds for which who is told to stop may answer what is under way."""
KEEPALIVE_SECONDS = 5
"""Seconds without a request after which a connection is closed."""


def serve(settings: Settings, server_type: "type[Server] | None" = None) -> None:
    """Serve the current version until stopped; raises ModelError before anything is started.

    Args:
        settings: of the server.
        server_type: where another protocol stands in front, what puts it there.
    """
    drop_credentials()
    logs.configure(settings)
    server = (server_type or Server)(settings)
    log_version(server.artifact.manifest)
    # The engine's libraries are imported before the fork: workers start sooner and share their
    # memory.
    engine_type(server.artifact.manifest)
    gc.freeze()  # a search for garbage in a worker would write to what it shares
    master, folder = os.getpid(), mkdtemp(prefix="model-metrics-")
    share(folder)
    try:
        server.run()
    finally:
        if os.getpid() == master:  # and not a worker, which ends here too
            shutil.rmtree(folder, ignore_errors=True)


def drop_credentials() -> None:
    """Start anew without the credentials of the service's database, if they are there.

    What is merely deleted from `os.environ` would still stand in the process's first environment.
    """
    others = {name: it for name, it in os.environ.items() if not name.startswith("DATABASE_URL")}
    if len(others) < len(os.environ):
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, others)  # noqa: S606  # the same command


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn with these settings: it reads no file and no variable of its own.

    What workers need is read in the master, which hands it to each that it starts: the tokens, the
    certificates and the artifact, whose files may be damaged by then.

    Attributes:
        artifact: the version that is served.
        tls: for connections, or None where there is no `https://`.
        handed: where the service hands over connections, or None for a server of its own.
        users: the ids of the users that may call at a socket.
        metrics: of a worker.

    Raises:
        ModelError: something is missing or wrong.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bind = settings.bind
        self.handed = Handed.at(self._bind) if self._bind.startswith("fd:") else None
        self._tokens = None if self.handed else tokens_of(settings)
        self.tls = tls_of(settings)
        self.users = {os.geteuid(), *settings.model_peers}
        self.following = Following(settings)
        self.artifact = self._verify()
        if self._bind.startswith("unix:"):
            path = self._bind.removeprefix("unix:")
            wait_for_orphans(path)
            self._bind = f"unix:{private_socket(path, self.is_shared)}"
        super().__init__()

    @property
    def is_shared(self) -> bool:
        """Whether other users may call at a socket."""
        return len(self.users) > 1

    def load_config(self) -> None:
        """Set the options."""
        settings = self._settings
        options: dict[str, Any] = {
            "bind": self._bind,
            "workers": settings.model_workers,
            "worker_class": GunicornWorker,
            "asgi_loop": "asyncio",
            "http_parser": "python",
            "asgi_disconnect_grace_period": 0,  # a caller who left ends its request at once
            "umask": 0o111 if self.is_shared else 0o177,  # the socket's mode becomes 0666 or 0600
            "control_socket_disable": True,
            "timeout": WORKER_TIMEOUT_SECONDS,
            "graceful_timeout": STOP_SECONDS,
            "keepalive": KEEPALIVE_SECONDS,
            "child_exit": lambda _, worker: forget(worker.pid),
            "logger_class": logs.GunicornLogger,
            "loglevel": settings.log_level,
        }
        if self.tls:
            options |= {"certfile": str(settings.model_server_cert)}  # for gunicorn's own messages
        for name, value in options.items():
            self.cfg.set(name, value)

    def run(self) -> None:
        """Serve until stopped."""
        self._failing = reload_failing()
        try:
            Master(self).run()
        finally:
            self.following.stop()

    def load(self) -> Any:
        """The application, in the worker that will run it."""
        try:
            model = Model.of(self.artifact)
        except ModelError as error:
            structlog.get_logger().error(str(error))
            raise SystemExit(Arbiter.WORKER_BOOT_ERROR) from None
        self.metrics = Metrics(model.manifest, self._settings.revision)
        app = create_app(model, self._tokens, self._settings, self.metrics)
        gc.freeze()  # or all that stays for good is searched for garbage while callers wait
        return app

    def follow(self) -> bool:
        """Whether the next workers are to serve another version, which has become current."""
        served = self.artifact.manifest.version
        promoted = self.following.promoted()
        if promoted == served:
            self._failing.set(0)
        return promoted not in (None, served) and self.renew()

    def renew(self) -> bool:
        """Serve what is current now from the next worker on; False if that cannot be loaded."""
        log = structlog.get_logger()
        try:
            artifact = self._verify()
            if not can_be_loaded(artifact):
                raise ModelError(f"{artifact.path}: cannot be loaded")
        except (ModelError, OSError) as error:  # or gunicorn would end
            served = self.artifact.manifest.version
            log.error(f"no reload, {served} is served as before: {error}")
            self._failing.set(1)
            return False
        self.artifact = artifact
        self._failing.set(0)
        log_version(artifact.manifest)
        return True

    def refresh(self) -> None:
        """Have the next worker begin with the tokens and certificates of now."""
        if self._tokens:
            self._tokens.latest()
        if self.tls:
            self.tls.latest()

    def _verify(self) -> VerifiedArtifact:
        return verify(self.following.folder(), self._settings.model_verify_keys)


def can_be_loaded(artifact: VerifiedArtifact) -> bool:
    """Whether a process can load it, tried in one of its own, which logs why not."""
    child = os.fork()
    if not child:
        try:
            signal.alarm(WORKER_TIMEOUT_SECONDS)  # ends it if it hangs
            Model.of(artifact)
            os._exit(0)
        except BaseException as error:
            structlog.get_logger().error(" ".join(str(error).split()))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return status == 0
