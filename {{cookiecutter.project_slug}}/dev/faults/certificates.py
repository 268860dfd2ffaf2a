"""Certificates of two authorities, made by the `openssl` command."""

import shutil
import subprocess
from contextlib import ExitStack

from faults.operating_system import NotRun
from faults.processes import FOLDER

TLS = FOLDER / "tls"
SETTINGS = {
    "MODEL_URL": "https://127.0.0.1:PORT",
    "MODEL_CA": str(TLS / "own.pem"),
    "MODEL_SERVER_CERT": str(TLS / "server.pem"),
    "MODEL_SERVER_KEY": str(TLS / "server.key"),
    "MODEL_CLIENT_CERT": str(TLS / "client.pem"),
    "MODEL_CLIENT_KEY": str(TLS / "client.key"),
}
"""Both sides of mutual TLS."""


def certificates(_stack: ExitStack) -> dict[str, str]:
    """The settings for mutual TLS, with new certificates; raises NotRun without openssl."""
    if shutil.which("openssl") is None:
        raise NotRun("openssl is not installed")
    shutil.rmtree(TLS, ignore_errors=True)
    TLS.mkdir(parents=True)
    for authority in ("own", "foreign"):
        _openssl("req", "-x509", *_new(authority), "-days", "2", "-addext", "keyUsage=keyCertSign")
    _issue("server", by="own")
    _issue("client", by="own")
    _issue("stranger", by="foreign")
    _issue("expired", by="own", days=0)
    return SETTINGS


def _issue(name: str, by: str, days: int = 2) -> None:
    extensions = TLS / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:false\n")
    _openssl("req", *_new(name, "csr"))
    authority = ("-CA", f"{TLS}/{by}.pem", "-CAkey", f"{TLS}/{by}.key", "-CAcreateserial")
    request = ("-in", f"{TLS}/{name}.csr", "-out", f"{TLS}/{name}.pem")
    _openssl("x509", "-req", *request, *authority, "-days", str(days), "-extfile", str(extensions))


def _new(name: str, kind: str = "pem") -> tuple[str, ...]:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    return (
        *key,
        "-subj",
        f"/CN={name}",
        "-keyout",
        f"{TLS}/{name}.key",
        "-out",
        f"{TLS}/{name}.{kind}",
    )


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
