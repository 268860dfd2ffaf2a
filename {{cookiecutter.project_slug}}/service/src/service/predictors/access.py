"""How the service and its model server know each other."""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.files import Watched
from service.settings import Settings, check_token, invalid_setting


@dataclass(frozen=True)
class Access:
    """What lets the service in, and what tells it that the server is the right one.

    Attributes:
        tokens: gives the bearer tokens to try, in this order.
        plaintext: whether `http://` may lead to another host.
        peers: user ids, besides the service's own, that may own the server behind a socket.
        tls: gives the context for `https://`; the system's authorities vouch by default.
    """

    tokens: Callable[[], Sequence[str]] = tuple
    plaintext: bool = False
    peers: tuple[int, ...] = ()
    tls: Callable[[], ssl.SSLContext] | None = None


def access_of(settings: Settings) -> Access:
    """The access that the settings give; files are read again when they change.

    Raises:
        SystemExit: a setting is invalid, or does not go with another.
    """
    return Access(_tokens(settings), settings.model_plaintext, settings.model_peers, _tls(settings))


def _tokens(settings: Settings) -> Callable[[], Sequence[str]]:
    tokens = tuple(token.get_secret_value() for token in settings.model_tokens)
    file = settings.model_tokens_file
    if file is None:
        return lambda: tokens
    if tokens:
        raise invalid_setting("model_tokens_file", "set it or MODEL_TOKENS, not both")
    try:
        return Watched(lambda: _read_tokens(file), file)
    except (OSError, ValueError) as error:
        raise invalid_setting("model_tokens_file", str(error)) from None


def _read_tokens(file: Path) -> tuple[str, ...]:
    tokens = tuple(file.read_text("utf-8").split())
    if not tokens:
        raise ValueError(f"{file} holds no token")
    for token in tokens:
        check_token(token)
    return tokens


def _tls(settings: Settings) -> Callable[[], ssl.SSLContext] | None:
    ca, cert, key = settings.model_ca, settings.model_client_cert, settings.model_client_key
    files = [each for each in (ca, cert, key) if each]
    if not files:
        return None
    name = "model_ca" if ca else "model_client_cert" if cert else "model_client_key"
    if not any(url.startswith("https://") for url in settings.models.values()):
        raise invalid_setting(name, "it takes a MODEL_URL that begins with https://")
    if bool(cert) != bool(key):
        missing = "model_client_key" if cert else "model_client_cert"
        raise invalid_setting(missing, "a certificate and its key come together")

    def context() -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=ca)
        if cert:
            made.load_cert_chain(cert, key, password="")  # or OpenSSL asks the terminal for one
        return made

    try:
        return Watched(context, *files)
    except (OSError, ValueError) as error:
        raise invalid_setting(name, f"{', '.join(map(str, files))}: {error}") from None
