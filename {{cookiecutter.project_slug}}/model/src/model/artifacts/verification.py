"""Nothing of an artifact is loaded before it has been verified: loading a pickle runs code.

The manifest vouches for the files by their digests; its own lies beside it.
"""

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

from contract import signature
from model.artifacts.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    ONNX_FILE,
    PACKAGES,
    REMEDY,
    Manifest,
)
from model.errors import ModelError, explained

DIGEST_FILE = "manifest.json.sha256"


@dataclass(frozen=True)
class VerifiedArtifact:
    """An artifact whose manifest and digests have been verified."""

    path: Path
    manifest: Manifest


def version_of(manifest: Manifest) -> str:
    """Twelve hex digits of a digest over what determines a version, and what is claimed of it.

    A label of the data that is corrected, or another judgement, makes another version.
    """
    parts = {"signature", "data", "packages", "evaluation", "files"}
    return hashlib.sha256(manifest.model_dump_json(include=parts).encode()).hexdigest()[:12]


def digest_line(manifest: bytes) -> str:
    """The content of a manifest's digest file: a line that `sha256sum --check` reads."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n"


def verify(path: Path) -> VerifiedArtifact:
    """The artifact in this folder, proven to be whole and to fit this contract and installation.

    Nothing but the manifest is read as more than bytes.

    Raises:
        ModelError: saying what is wrong and what to do about it.
    """
    manifest = Manifest.read(path)
    with explained(path / DIGEST_FILE, REMEDY):
        expected = (path / DIGEST_FILE).read_bytes()
    if expected != digest_line((path / MANIFEST_FILE).read_bytes()).encode():
        raise ModelError(f"{path / MANIFEST_FILE}: not the manifest that was stored; {REMEDY}")
    if manifest.signature != signature():
        contracts = f"made for the contract {manifest.signature}, and this is {signature()}"
        raise ModelError(f"{path}: {contracts}; run `make train`")
    if MODEL_FILE not in manifest.files:
        raise ModelError(f"{path}: the manifest names no {MODEL_FILE}; run `make train`")
    _check_packages(path, manifest)
    _check_digests(path, manifest)
    if manifest.version != version_of(manifest):
        raise ModelError(f"{path / MANIFEST_FILE}: not the version of its parts; {REMEDY}")
    return VerifiedArtifact(path, manifest)


def _check_packages(path: Path, manifest: Manifest) -> None:
    """A pickle of scikit-learn is for one version only, one of another package for a minor version.

    An ONNX graph needs none of them: it says itself what it needs.
    """
    if ONNX_FILE in manifest.files:
        return
    for name in ("scikit-learn", "numpy", *sorted(manifest.packages.keys() - PACKAGES)):
        made_by, parts = manifest.packages.get(name, "none"), None if name == "scikit-learn" else 2
        try:
            running = installed(name)
        except PackageNotFoundError:
            running = "not installed"
        if made_by.split(".")[:parts] != running.split(".")[:parts]:
            fault = f"made by {name} {made_by}, and here it is {running}"
            raise ModelError(f"{path}: {fault}; run `make train`, or install {name} {made_by}")


def _check_digests(path: Path, manifest: Manifest) -> None:
    for name, digest in manifest.files.items():
        with explained(path / name, REMEDY), (path / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            digests = f"digest {found[:12]}, expected {digest[:12]}"
            raise ModelError(f"{path / name}: not the file that was stored ({digests}); {REMEDY}")
