"""One version of the model on disk: an immutable folder of files and the manifest that vouches.

The manifest says what the version is, what it was made of and how good it is, and holds the digest
of every other file; its own lies beside it. Nothing is loaded before its digest has been verified:
loading runs code.
"""

import hashlib
import json
import platform
import subprocess
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from contract import FEATURES, MODEL_NAME, TARGET, signature
from model.errors import ModelError

MANIFEST_FILE = "manifest.json"
DIGEST_FILE = "manifest.json.sha256"
MODEL_FILE = "model.joblib"
ONNX_FILE = "model.onnx"
REMEDY = "restore it, or run `make train`"
PACKAGES = ("scikit-learn", "numpy", "pandas", "joblib", "skl2onnx", "onnx", "onnxruntime")

Task = Literal["regression", "binary", "multiclass"]
TASK: Task = {"FP64": "regression", "BOOL": "binary", "BYTES": "multiclass"}[TARGET.datatype]  # type: ignore[assignment]


class ArtifactError(ModelError):
    """An artifact that must not be served."""


class _Part(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Data(_Part):
    """The rows that the version was made from."""

    source: str
    sha256: str
    rows: int
    synthetic: bool
    license: str | None = None
    caveat: str | None = None


class Code(_Part):
    """The commit that the training ran from."""

    commit: str
    dirty: bool


class Observed(_Part):
    """What the rows held in one column, to tell drift by."""

    missing: float
    """Share of the rows in which it was missing."""
    quantiles: list[float] | None = None
    """For numbers: the minimum, the nine deciles and the maximum."""
    shares: dict[str, float] | None = None
    """For booleans and categories: the share of the rows of each, at most the 100 most frequent."""


class Slice(_Part):
    """How good the predictions were where one feature had one value."""

    feature: str
    value: str | bool | None
    rows: int
    metrics: dict[str, float]


class Evaluation(_Part):
    """How good a model of the past was on the later rows, which it had not seen."""

    past: int
    later: int
    metrics: dict[str, float]
    baseline: dict[str, float]
    """The same metrics for the fallback of the past rows as the answer to everything."""
    slices: list[Slice]


class Compilation(_Part):
    """Whether the pipeline was compiled, and proven to answer as scikit-learn does."""

    reason: str | None = None
    """Why scikit-learn itself answers; None where the compiled model does."""
    rows: int = 0
    """On how many rows both were compared."""
    worst: float = 0.0
    """The largest relative error among them."""


class SelfTest(_Part):
    """Rows by column, with the predictions that the version must make of them."""

    columns: dict[str, list[Any]]
    predictions: list[dict[str, Any]]


class Manifest(_Part):
    """What one version is."""

    version: str
    model: str = MODEL_NAME
    created_at: datetime
    signature: str
    features: dict[str, str]
    """Datatype of each feature, with a question mark where it may be missing."""
    target: dict[str, str]
    task: Task
    classes: list[str] | None
    """In the order of the probabilities."""
    data: Data
    code: Code | None
    """None where the training did not run from a git work tree."""
    python: str
    packages: dict[str, str]
    evaluation: Evaluation | None
    """None where the past rows hold one class only."""
    fallback: dict[str, Any]
    """A `contract.Prediction`: what to answer while the model cannot be asked."""
    observed: dict[str, Observed]
    compiled: Compilation
    self_test: SelfTest
    files: dict[str, str]
    """SHA-256 of each file that the manifest vouches for."""


@dataclass(frozen=True)
class Folder:
    """An artifact whose manifest and digests have been verified."""

    path: Path
    manifest: Manifest


def version_of(data: Data, packages: dict[str, str], files: dict[str, str]) -> str:
    """Twelve hex digits that stand for all that a version is determined by.

    What is said of the data is part of that: a label that is put right makes another version.
    """
    parts = json.dumps([signature(), data.model_dump(), packages, files], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:12]


def digest_line(manifest: bytes) -> str:
    """What stands in the digest file of a manifest: a line that `sha256sum --check` reads."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n"


def packages() -> dict[str, str]:
    """The versions of the packages that an artifact depends on, as installed here."""
    return {name: installed(name) for name in PACKAGES}


def describe_code() -> Code | None:
    """The commit of the work tree that this package is tracked in."""
    here = Path(__file__).parent
    try:
        _git(here, "ls-files", "--error-unmatch", Path(__file__).name)
        return Code(
            commit=_git(here, "rev-parse", "HEAD"),
            dirty=bool(_git(here, "status", "--porcelain", "--untracked-files=no")),
        )
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)  # noqa: S603
    return done.stdout.strip()


def contract_fields() -> dict[str, Any]:
    """What every manifest of this contract says of it."""
    return {
        "signature": signature(),
        "features": {each.name: each.datatype + "?" * each.optional for each in FEATURES},
        "target": {TARGET.name: TARGET.datatype},
        "task": TASK,
        "python": platform.python_version(),
        "packages": packages(),
    }


def read_manifest(path: Path) -> Manifest:
    """The manifest of the artifact in this folder.

    Raises:
        ArtifactError: there is none, or it is none.
    """
    try:
        return Manifest.model_validate_json((path / MANIFEST_FILE).read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path / MANIFEST_FILE}: {error.strerror}; {REMEDY}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fault = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
        raise ArtifactError(f"{path / MANIFEST_FILE}: not a manifest ({fault}); {REMEDY}") from None


def verify(path: Path) -> Folder:
    """The artifact in this folder, proven to be whole and to fit this contract and installation.

    Nothing but the manifest is read as more than bytes.

    Raises:
        ArtifactError: saying what is wrong and what to do about it.
    """
    manifest = read_manifest(path)
    try:
        expected = (path / DIGEST_FILE).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path / DIGEST_FILE}: {error.strerror}; {REMEDY}") from None
    if expected != digest_line((path / MANIFEST_FILE).read_bytes()).encode():
        raise ArtifactError(f"{path / MANIFEST_FILE}: not the manifest that was stored; {REMEDY}")
    if manifest.signature != signature():
        raise ArtifactError(
            f"{path}: made for the contract {manifest.signature}, and this is {signature()};"
            " run `make train`"
        )
    if MODEL_FILE not in manifest.files:
        raise ArtifactError(f"{path}: the manifest knows no {MODEL_FILE}; run `make train`")
    # Pickles of scikit-learn are for one version only; those of numpy hold within a minor version.
    # An ONNX graph needs neither: it says itself what it needs.
    pickled = {} if ONNX_FILE in manifest.files else {"scikit-learn": None, "numpy": 2}
    for name, parts in pickled.items():
        made_by, running = manifest.packages.get(name, "none"), installed(name)
        if made_by.split(".")[:parts] != running.split(".")[:parts]:
            raise ArtifactError(
                f"{path}: made by {name} {made_by}, and this is {running};"
                f" run `make train`, or install {name} {made_by}"
            )
    for name, digest in manifest.files.items():
        try:
            with (path / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ArtifactError(f"{path / name}: {error.strerror}; {REMEDY}") from None
        if found != digest:
            raise ArtifactError(
                f"{path / name}: not the file that was stored (digest {found[:12]}, expected"
                f" {digest[:12]}); {REMEDY}"
            )
    if manifest.version != version_of(manifest.data, manifest.packages, manifest.files):
        raise ArtifactError(f"{path / MANIFEST_FILE}: not the version of its parts; {REMEDY}")
    return Folder(path, manifest)
