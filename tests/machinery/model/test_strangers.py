"""Who may call the model server, and that nobody else gets in: real processes, real sockets."""

import datetime
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import sys
from contextlib import closing, suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from conftest import INFER, TOKENS
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support import AUTHORIZATION, BODY, PATIENCE, ask, connected, eventually, serving

from model.artifacts.store import Store
from model.errors import ModelError
from model.serving.check import check
from model.settings import Settings, load_settings

OTHER = 65534
"""The id of another user: nobody's."""
GROUP = 54321
"""The id of a group that may pass a socket's folder."""
LONG = "x" * 32


# Tokens


def test_tokens_are_rotated_in_a_file_without_a_failed_request(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "tokens"

    def write(*tokens: str) -> None:
        fresh = tmp_path / "fresh"
        fresh.write_text("".join(f"{token}\n" for token in tokens))
        fresh.replace(path)

    write(TOKENS[0])
    settings = {"MODEL_TOKENS_FILE": str(path), "MODEL_TOKENS": ""}
    with (
        serving(store, tmp_path, tolerated=("not read again",), settings=settings) as server,
        connected(server.at) as connection,
    ):
        write(LONG, TOKENS[0])
        for _ in range(10):
            assert connection.ask()[0] == 200
            assert connection.ask(Authorization=f"Bearer {LONG}")[0] == 200
        write(LONG)
        assert connection.ask(Authorization=f"Bearer {LONG}")[0] == 200
        assert connection.ask()[0] == 401  # yesterday's
        for fault in (["short"], [], ["\u00e9" * 32]):
            write(*fault)
            assert connection.ask(Authorization=f"Bearer {LONG}")[0] == 200
        path.unlink()
        assert connection.ask(Authorization=f"Bearer {LONG}")[0] == 200
        write(*TOKENS)
        assert connection.ask()[0] == 200
    log = (tmp_path / "log").read_text("utf-8")
    assert not [each for each in (*TOKENS, LONG) if each in log]


def test_the_token_is_told_to_nobody(store: Store, tmp_path: Path) -> None:
    bad = b"POST / HTTP/1.1\r\nAuthorization: Bearer %b\r\nBad\x01: x\r\n\r\n" % TOKENS[0].encode()
    with serving(store, tmp_path, settings={"LOG_LEVEL": "debug"}) as server:
        answers = []
        with connected(server.at) as connection:
            answers.append(str(connection.ask(b"{}")))
            answers.append(str(connection.ask(Authorization=f"Basic {TOKENS[0]}")))
        with connected(server.at) as connection:
            connection.sock.sendall(bad)
            answers.append(connection.sock.recv(65536).decode())
        arguments = [
            Path(f"/proc/{pid}/cmdline").read_text()
            for pid in (server.process.pid, *server.workers())
        ]
    assert "400" in answers[-1]
    told = "".join([(tmp_path / "log").read_text("utf-8"), *answers, *arguments])
    assert TOKENS[0] not in told


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"MODEL_TOKENS": "too-short"}, "at least 32"),
        ({"MODEL_TOKENS": ""}, "MODEL_TOKENS: is empty"),
        (
            {"MODEL_TOKENS_FILE": "nowhere", "MODEL_TOKENS": ""},
            "MODEL_TOKENS_FILE: nowhere: No such file",
        ),
        ({"MODEL_TOKENS_FILE": "nowhere"}, "MODEL_TOKENS_FILE: set it or MODEL_TOKENS, not both"),
        ({"MODEL_PEERS": "0,no-such-user"}, "no user is called 'no-such-user'"),
        ({"MODEL_URL": "http://0.0.0.0:0"}, "MODEL_PLAINTEXT"),
        ({"MODEL_URL": "https://127.0.0.1:0"}, "MODEL_CA, MODEL_SERVER_CERT, MODEL_SERVER_KEY"),
    ],
)
def test_a_server_that_strangers_could_call_does_not_start(
    settings: dict[str, str], fault: str, store: Store, tmp_path: Path
) -> None:
    given = {"MODEL_STORE": str(store.path), "MODEL_TOKENS": TOKENS[0], **settings}
    done = subprocess.run(
        [sys.executable, "-c", "import model.cli; model.cli.main()", "serve"],
        cwd=tmp_path,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert fault in line
    assert "too-short" not in line


def test_loopback_and_what_is_said_to_be_safe_need_no_tls() -> None:
    for host in ("127.0.0.1", "localhost", "[::1]", "127.9.9.9"):
        assert Settings(model_url=f"http://{host}:1").bind == f"{host}:1"
    assert Settings(model_url="http://10.0.0.1:1", model_plaintext=True).bind == "10.0.0.1:1"
    for host in ("10.0.0.1", "0.0.0.0", "[::]", "model", "localhost.example.org"):
        with pytest.raises(ModelError, match="MODEL_PLAINTEXT"):
            print(Settings(model_url=f"http://{host}:1").bind)
    assert load_settings().model_peers == ()
    assert Settings(model_peers="root, 7").model_peers == (0, 7)  # type: ignore[arg-type]


# Users of this machine


def call_as(user: int, path: Path, group: int | None = None) -> str:
    """What another user gets who calls at this socket: the first line of the answer, or why none.

    The user's one group is by default of the same number.

    It is the caller's own interpreter that changes its user, since others may not run it.
    """
    sent = f"GET /v2 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKENS[0]}\r\n\r\n"
    code = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(int(sys.argv[4])); os.setuid(int(sys.argv[1]))\n"
        "try:\n"
        "    caller = socket.socket(socket.AF_UNIX); caller.settimeout(60)\n"
        "    caller.connect(sys.argv[2]); caller.sendall(sys.argv[3].encode())\n"
        "    print(caller.recv(65536).decode().partition('\\r')[0] or 'closed')\n"
        "except OSError as error: print(type(error).__name__)\n"
    )
    command = [sys.executable, "-c", code, str(user), str(path), sent, str(group or user)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can call as another user")
def test_other_users_of_the_machine_do_not_get_in(store: Store) -> None:
    folder = Path("/tmp/strangers")  # which others can reach, unlike pytest's folders
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    path = folder / "run/model.sock"
    refused = {"closed", "ConnectionResetError", "BrokenPipeError"}
    try:
        with serving(store, folder) as server:
            assert ask(server.at) == 200
            assert call_as(OTHER, path) == "PermissionError"
            path.parent.chmod(0o777)
            path.chmod(0o777)
            assert {call_as(OTHER, path) for _ in range(3)} <= refused
            assert ask(server.at) == 200
            assert eventually(lambda: server.lines("event", "refused"))
            path.parent.chmod(0o711)
        settings = {"MODEL_PEERS": f"{OTHER}"}
        with serving(store, folder, settings=settings):
            assert call_as(OTHER, path) == "HTTP/1.1 200 OK"
            assert call_as(OTHER - 1, path) in refused
            # As systemd's RuntimeDirectory makes it: the folder is for a group as well.
            os.chown(path.parent, 0, GROUP)
            path.parent.chmod(0o710)
        with serving(store, folder, settings=settings):
            assert call_as(OTHER, path, GROUP) == "HTTP/1.1 200 OK"
            assert call_as(OTHER, path) == "PermissionError"
            assert call_as(OTHER - 1, path, GROUP) in refused
    finally:
        shutil.rmtree(folder)


# Certificates


class Authority:
    """Signs certificates."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.path = folder / f"{name}.pem"
        certificate = self._build(self._subject, self._key, True).sign(self._key, hashes.SHA256())
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, days: int = 1) -> tuple[Path, Path]:
        """The files of a new certificate for this machine and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        built = self._build(subject, key, False, days).add_extension(address, False)
        paths = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate = built.sign(self._key, hashes.SHA256())
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths

    def _build(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, ca: bool, days: int = 1
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self._subject, subject, key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=9))
        builder = builder.not_valid_after(now + datetime.timedelta(days=days))
        return builder.add_extension(x509.BasicConstraints(ca, None), True)


def call(port: int, ca: Path, certificate: tuple[Path, Path] | None) -> int | None:
    """The status of a request with this certificate; None if the server does not answer."""
    context = ssl.create_default_context(cafile=ca)
    if certificate:
        context.load_cert_chain(*certificate)
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=context)
    with closing(connection):
        try:
            connection.request("POST", INFER, BODY, AUTHORIZATION)
            return connection.getresponse().status
        except (ssl.SSLError, ConnectionError):
            return None


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    """The authority that the server trusts, with a certificate for it."""
    authority = Authority(tmp_path, "ours")
    authority.issue("server")
    return authority


def tls_settings(folder: Path) -> dict[str, str]:
    """The server's settings for these files."""
    return {
        "MODEL_CA": str(folder / "ours.pem"),
        "MODEL_SERVER_CERT": str(folder / "server.crt"),
        "MODEL_SERVER_KEY": str(folder / "server.key"),
    }


def test_mutual_tls_lets_in_who_has_a_certificate_of_ours_and_reads_them_again(
    store: Store, tmp_path: Path, ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, expired = ours.issue("good"), ours.issue("expired", days=-1)
    theirs = Authority(tmp_path, "theirs")
    foreign = theirs.issue("foreign")
    monkeypatch.setattr("support.ask", lambda at: call(at, ours.path, good))
    url = "https://127.0.0.1:0"
    with serving(
        store, tmp_path, url, tolerated=("not read again",), settings=tls_settings(tmp_path)
    ) as server:
        port = server.at
        assert isinstance(port, int)
        assert call(port, ours.path, good) == 200
        check(f"https://127.0.0.1:{port}")  # which has no certificate
        for stranger in (None, expired, foreign):
            assert call(port, ours.path, stranger) is None
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
            plain.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            with suppress(ConnectionError):
                received = plain.recv(65536)
            assert b"HTTP" not in received
        with pytest.raises((ssl.SSLError, ConnectionError)):
            http.client.HTTPSConnection("127.0.0.1", port).request("GET", "/")
        # Certificates are renewed, by another authority, with no restart; a connection lives on.
        context = ssl.create_default_context(cafile=ours.path)
        context.load_cert_chain(*good)
        kept = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=context)
        with closing(kept):
            kept.request("POST", INFER, BODY, AUTHORIZATION)
            assert kept.getresponse().read()
            theirs.issue("server")
            shutil.copy(theirs.path, ours.path.with_name("fresh.pem"))
            ours.path.with_name("fresh.pem").replace(ours.path)
            assert call(port, theirs.path, foreign) == 200
            assert call(port, theirs.path, good) is None
            kept.request("POST", INFER, BODY, AUTHORIZATION)
            assert kept.getresponse().status == 200
        (tmp_path / "server.key").write_text("nothing")
        assert call(port, theirs.path, foreign) == 200
        monkeypatch.setattr("support.ask", lambda at: call(at, theirs.path, foreign))


# The process itself


def test_the_process_holds_no_database_credentials(store: Store, tmp_path: Path) -> None:
    secret = "postgresql://somebody:secret@nowhere/orders"
    settings = {"DATABASE_URL": secret, "DATABASE_URL_REPLICA": secret}
    with serving(store, tmp_path, settings=settings) as server:
        for pid in (server.process.pid, *server.workers()):
            assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_nothing_is_written_to_the_store(store: Store, tmp_path: Path) -> None:
    before = sorted((each, each.stat().st_mtime_ns) for each in store.path.rglob("*"))
    with serving(store, tmp_path) as server:
        assert ask(server.at) == 200
    assert sorted((each, each.stat().st_mtime_ns) for each in store.path.rglob("*")) == before
