"""Who has no business with the pair, and tries."""

import hashlib
import http.client
import os
import secrets
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from faults.certificates import TLS, certificates
from faults.operating_system import NotRun, wait_until
from faults.processes import SOCKET, System
from faults.scenarios import Limits, scenario

SHUT = Limits()
"""Strangers change nothing for those who may call."""

NOBODY = 65534
REACH = """
import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)
"""


ANSWERED, CLOSED, OUT_OF_REACH = range(3)
"""What a caller meets at a socket; it is closed without an answer for the wrong user."""


def knock(user: int, folder: Path = Path()) -> int:
    """What a process of this user, which stands in this folder, meets at the model's socket."""
    child = os.fork()  # another program might not be there for this user
    if child == 0:
        met = OUT_OF_REACH
        with suppress(OSError):
            os.chdir(folder)
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(2)
            connection.connect(os.path.relpath(SOCKET, folder))
            met = CLOSED
            connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
            met = ANSWERED if connection.recv(100) else CLOSED
        os._exit(met)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def need_root() -> None:
    """Raises NotRun unless this runs as root."""
    if os.geteuid():
        raise NotRun("needs root")


@scenario(SHUT)
def another_user(system: System) -> Iterator[None]:
    """Another user of this machine connects to the model server's socket."""
    need_root()
    system.expect(knock(os.geteuid()) == ANSWERED, "the owner is not let in either")
    system.expect(knock(NOBODY) == OUT_OF_REACH, "another user reaches the socket")
    opened = [SOCKET.parent, SOCKET]
    modes = [each.stat().st_mode for each in opened]
    for each in opened:  # as if somebody had opened the way to it
        each.chmod(0o777)
    system.expect(knock(NOBODY, SOCKET.parent) == CLOSED, "the peer's user was not checked")
    for each, mode in zip(opened, modes, strict=True):
        each.chmod(mode)
    yield


@scenario(SHUT, settings={"MODEL_URL": "http://127.0.0.1:PORT"})
def no_token(system: System) -> Iterator[None]:
    """A process of this machine asks the model server without a token, or with a wrong one."""
    for token in ("", secrets.token_urlsafe(32), system.token[:-1], system.token + "a"):
        system.expect(system.ask_model(token=token)[0] == 401, f"let in: a token of {len(token)}")
    yield


TOKENS_FILE = {"MODEL_TOKENS": "", "MODEL_TOKENS_FILE": "FOLDER/tokens"}


@scenario(SHUT, settings={"MODEL_URL": "http://127.0.0.1:PORT", **TOKENS_FILE})
def yesterdays_token(system: System) -> Iterator[None]:
    """The token is rotated, and somebody asks with yesterday's."""
    old, new = system.token, secrets.token_urlsafe(32)
    for line in (f"{old}\n{new}\n", f"{new}\n{old}\n", f"{new}\n"):
        system.tokens.write_text(line)
        try:
            wait_until(partial(_counts, system, line, old, new), "only the file's tokens count", 3)
        except TimeoutError as error:
            system.complaints.append(str(error))
    yield


def _counts(system: System, line: str, *tokens: str) -> bool:
    return all((system.ask_model(token=each)[0] == 200) == (each in line) for each in tokens)


@scenario(SHUT, settings=certificates)
def foreign_certificate(system: System) -> Iterator[None]:
    """Callers with no certificate, a foreign and an expired one ask the model server."""
    for name in ("client", "", "stranger", "expired"):
        context = ssl.create_default_context(cafile=TLS / "own.pem")
        if name:
            context.load_cert_chain(TLS / f"{name}.pem", TLS / f"{name}.key")
        let_in = False
        with suppress(OSError, http.client.HTTPException):
            let_in = system.ask_model(context=context)[0] == 200
        system.expect(let_in == (name == "client"), f"certificate {name or 'none'}: {let_in=}")
    yield


@scenario(SHUT, settings={"MODEL_URL": "http://127.0.0.1:PORT"})
def another_host(system: System) -> Iterator[None]:
    """Another host (a network namespace) tries each port."""
    need_root()
    name, here, there = "chaos", "10.213.77.1", "10.213.77.2"
    with suppress(subprocess.CalledProcessError):
        ip("netns", "delete", name)
    try:
        ip("netns", "add", name)
        ip("link", "add", "chaos0", "type", "veth", "peer", "name", "chaos1", "netns", name)
        ip("address", "add", f"{here}/30", "dev", "chaos0")
        ip("link", "set", "chaos0", "up")
        ip("-n", name, "address", "add", f"{there}/30", "dev", "chaos1")
        ip("-n", name, "link", "set", "chaos1", "up")
    except (OSError, subprocess.CalledProcessError):
        raise NotRun("needs `ip netns`") from None
    try:
        with socket.create_server((here, 0)) as open_port:
            inside = ["ip", "netns", "exec", name, sys.executable, "-c", REACH, here]
            ports = {open_port.getsockname()[1]: True, system.port: False, system.ops_port: False}
            for port, reached in {**ports, system.model_port: False}.items():
                done = subprocess.run([*inside, str(port)], check=False, capture_output=True)
                system.expect((done.returncode == 0) == reached, f"port {port}: {reached=}")
        yield
    finally:
        ip("netns", "delete", name)


@scenario(SHUT)
def no_key(system: System) -> Iterator[None]:
    """Other hosts can reach the API: it has no keys, then callers have none."""
    ports = {"PORT": str(system.spare_port), "OPS_PORT": str(system.model_port)}
    public = {"HOST": "0.0.0.0", "WORKERS": "1", **ports}  # noqa: S104
    command = ("timeout", "10", "service/.venv/bin/service", "serve")
    began = time.monotonic()
    system.expect(not system.does(*command, **public), "it began without keys")
    system.expect(time.monotonic() - began < 10, "it served without keys")
    key, other = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    public["API_KEYS"] = f"own:{hashlib.sha256(key.encode()).hexdigest()}"
    door = system.process("door", *command[2:], **public)
    door.start()

    def status(**headers: str) -> int:
        return system.place(system.spare_port, **headers)[0]

    wait_until(lambda: status(), "the API answers to other hosts")
    system.expect(status() == 401, "let in without a key")
    system.expect(status(Authorization=f"Bearer {other}") == 401, "let in with another key")
    system.expect(status(Authorization=f"Bearer {key}") == 201, "not let in with its key")
    yield


def ip(*arguments: str) -> None:
    """Run the `ip` command."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
