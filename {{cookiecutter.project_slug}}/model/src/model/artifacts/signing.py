"""Signatures over manifests: Ed25519 (RFC 8032), as `openssl pkeyutl` reads and writes them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from model.artifacts.files import check_private
from model.errors import ModelError, explained

Sign = Callable[[bytes], bytes]
"""Makes the signature, 64 bytes, of what it is given."""


def signer(path: Path | None, keys: Sequence[Path]) -> Sign | None:
    """What signs a new version with the private key in a file, if there is one.

    Raises:
        ModelError: others can read the file, or these public keys would not let the version load.
    """
    if path is None:
        if keys:
            raise ModelError("MODEL_SIGNING_KEY: is not set, and MODEL_VERIFY_KEYS asks for it")
        return None
    parse = partial(load_pem_private_key, password=None)
    sign: Sign = _read("MODEL_SIGNING_KEY", path, Ed25519PrivateKey, parse).sign
    if path.stat().st_mode & 0o077:
        raise ModelError(f"MODEL_SIGNING_KEY: other users can read it; `chmod 600 {path}`")
    if keys and not is_signed(b"", sign(b""), keys):
        raise ModelError(f"MODEL_SIGNING_KEY: {path} belongs to no key of MODEL_VERIFY_KEYS")
    return sign


def is_signed(content: bytes, signature: bytes, keys: Sequence[Path]) -> bool:
    """Whether one of the public keys in these files belongs to who signed this."""
    for path in keys:
        key = _read("MODEL_VERIFY_KEYS", path, Ed25519PublicKey, load_pem_public_key)
        try:
            key.verify(signature, content)
        except InvalidSignature:
            continue
        return True
    return False


def _read(setting: str, path: Path, kind: Any, parse: Callable[[bytes], object]) -> Any:
    """The key in the PEM file that a setting names, which others cannot have written."""
    with explained(f"{setting}: {path}"):
        check_private(path, path.stat())
        content = path.read_bytes()
    try:
        key = parse(content)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, kind):
        fault = f"holds no {kind.__name__} without a password"
        raise ModelError(f"{setting}: {path} {fault}; the README says how to make a pair")
    return key
