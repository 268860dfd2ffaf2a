"""Nothing of an artifact is loaded before it has been verified: loading a pickle runs code.

The manifest vouches for the files by their digests; its own digest lies beside it, and a signature
if one was made. Each file is read once: what was verified is what is loaded.
"""

import hashlib
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

from contract.evolution import OURS, Terms, differences
from model.artifacts.files import check_private, open_private, read_private
from model.artifacts.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    ONNX_FILE,
    PACKAGES,
    REMEDY,
    VERSION,
    Manifest,
)
from model.errors import ModelError, explained

DIGEST_FILE = "manifest.json.sha256"
SIGNATURE_FILE = "manifest.json.sig"


@dataclass(frozen=True)
class VerifiedArtifact:
    """An artifact whose manifest and digests have been verified.

    Attributes:
        path: its folder.
        manifest: what it is.
        content: of its `engine_file`.
    """

    path: Path
    manifest: Manifest
    content: bytes


def version_of(manifest: Manifest) -> str:
    """Twelve hex digits of a digest over what determines a version, and what is claimed of it.

    A label of the data that is corrected, or another judgement, makes another version.
    """
    parts = {"signature", "data", "packages", "evaluation", "files"}
    return hashlib.sha256(manifest.model_dump_json(include=parts).encode()).hexdigest()[:12]


def digest_line(manifest: bytes) -> str:
    """The content of a manifest's digest file: a line that `sha256sum --check` reads."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n"


def read_manifest(path: Path, keys: Sequence[Path] = ()) -> Manifest:
    """The manifest in a version's folder.

    Args:
        path: the folder.
        keys: files of public keys; if there are any, nothing is parsed that none of them signed.

    Raises:
        ModelError: it is not as it was stored, or not signed.
    """
    content = read_private(path / MANIFEST_FILE)
    if keys:
        from model.artifacts.signing import is_signed

        if not is_signed(content, read_private(path / SIGNATURE_FILE), keys):
            fault = "not signed by any key of MODEL_VERIFY_KEYS"
            raise ModelError(f"{path / MANIFEST_FILE}: {fault}; {REMEDY}")
    if read_private(path / DIGEST_FILE) != digest_line(content).encode():
        raise ModelError(f"{path / MANIFEST_FILE}: not the manifest that was stored; {REMEDY}")
    with explained(path / MANIFEST_FILE, REMEDY):
        manifest = Manifest.model_validate_json(content)
    if VERSION.fullmatch(path.name) and path.name != manifest.version:
        raise ModelError(f"{path}: holds the version {manifest.version}; rename the folder")
    return manifest


def verify(path: Path, keys: Sequence[Path] = ()) -> VerifiedArtifact:
    """The artifact in this folder, proven to be whole and to fit this contract and installation.

    Nothing but the manifest is read as more than bytes.

    Args:
        path: the folder, in one of its kind; others can write neither.
        keys: as `read_manifest` has them.

    Raises:
        ModelError: saying what is wrong and what to do about it.
    """
    artifact = check_whole(path, keys)
    manifest = artifact.manifest
    # It is sent what this release knows, and derives nothing that this release does not.
    if faults := differences(OURS, Terms(manifest.features, (), manifest.target)):
        fault = f"made for another contract: {'; '.join(faults)}"
        raise ModelError(f"{path}: {fault}; run `make train`")
    _check_packages(path, manifest)
    return artifact


def check_whole(path: Path, keys: Sequence[Path] = (), name: str = "") -> VerifiedArtifact:
    """The artifact in this folder, proven to be what was stored, whatever it fits; see `verify`.

    Args:
        name: the file whose content is wanted, in place of the `engine_file`.
    """
    with explained(path, REMEDY):
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise ModelError(f"{path}: not a folder; {REMEDY}")
        for folder in (path.parent, path):
            check_private(folder, folder.stat())
        manifest, names = read_manifest(path, keys), {each.name for each in path.iterdir()}
    if extra := names - {MANIFEST_FILE, DIGEST_FILE, SIGNATURE_FILE, *manifest.files}:
        raise ModelError(f"{path}: holds what is not its own: {min(extra)!r:.100}; remove it")
    if MODEL_FILE not in manifest.files:
        raise ModelError(f"{path}: the manifest names no {MODEL_FILE}; run `make train`")
    content = _check_digests(path, manifest, name or manifest.engine_file)
    if manifest.version != version_of(manifest):
        raise ModelError(f"{path / MANIFEST_FILE}: not the version of its parts; {REMEDY}")
    return VerifiedArtifact(path, manifest, content)


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


def _check_digests(path: Path, manifest: Manifest, wanted: str) -> bytes:
    """The content that is wanted, once all files are known to be what was stored."""
    content = b""
    for name, digest in manifest.files.items():
        with open_private(path / name) as file:
            if name == wanted:
                content = file.read()
                found = hashlib.sha256(content).hexdigest()
            else:  # which need not be kept
                found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            digests = f"digest {found[:12]}, expected {digest[:12]}"
            raise ModelError(f"{path / name}: not the file that was stored ({digests}); {REMEDY}")
    return content
