"""Who may call: by a token, over TLS by a certificate, at a socket by the user id."""

import socket
import ssl
import struct

from model.errors import ModelError, explained
from model.serving.watching import Watched
from model.settings import Settings, check_tokens

Tokens = Watched[tuple[bytes, ...]]


def tokens_of(settings: Settings) -> Tokens:
    """The tokens that are accepted, each as good as the other.

    Raises:
        ModelError: there is none, or there are two places for them.
    """
    path = settings.model_tokens_file
    if path and settings.model_tokens:
        raise ModelError("MODEL_TOKENS_FILE: set it or MODEL_TOKENS, not both")

    def read() -> tuple[bytes, ...]:
        if path is None:
            tokens = settings.model_tokens
        else:
            with explained(f"MODEL_TOKENS_FILE: {path}"):
                tokens = check_tokens(tuple(path.read_text("utf-8").split()))
        if not tokens:
            where = f"MODEL_TOKENS_FILE: {path}" if path else "MODEL_TOKENS"
            raise ModelError(f"{where}: is empty; `make setup` puts a token into .env")
        return tuple(token.encode() for token in tokens)

    return Watched(read, *([path] if path else []))


def tls_of(settings: Settings) -> Watched[ssl.SSLContext] | None:
    """For `https://`: what lets in callers with a certificate, and those alone.

    Its value is for new connections, each of which takes the files as they are by then.

    Raises:
        ModelError: a file is not set, is not there, or does not hold what it should.
    """
    if not settings.model_url.startswith("https:"):
        return None
    files = {
        name: getattr(settings, name)
        for name in ("model_ca", "model_server_cert", "model_server_key")
    }
    if missing := [name.upper() for name, path in files.items() if path is None]:
        raise ModelError(f"{', '.join(missing)}: not set, and MODEL_URL is https://")
    ca, certificate, key = files.values()

    def read() -> ssl.SSLContext:
        with explained(f"MODEL_CA: {ca}"):
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
        with explained(f"MODEL_SERVER_CERT: {certificate}, MODEL_SERVER_KEY: {key}"):
            # Without a callback OpenSSL would ask the terminal for a password.
            context.load_cert_chain(certificate, key, password=lambda: "")
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0  # a session that is resumed would not show its certificate
        context.options |= ssl.OP_NO_TICKET
        context.sni_callback = renew
        return context

    def renew(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = watched.latest()

    watched = Watched(read, *files.values())
    return watched


def user_of(connection: socket.socket) -> int | None:
    """The id of the user at the other end of a unix socket; None of any other connection."""
    if connection.family != socket.AF_UNIX:
        return None
    credentials = struct.Struct("iII")  # pid, uid, gid, as unix(7) has them
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    return int(credentials.unpack(found)[1])
