"""Where a version comes from: its data, its code, its packages."""

import json
import subprocess
from importlib.metadata import version as installed
from pathlib import Path

from model.artifacts.manifest import Code, Data
from model.errors import FAULTS, explained

PACKAGES = ("scikit-learn", "numpy", "pandas", "joblib", "skl2onnx", "onnx", "onnxruntime")
GIT_TIMEOUT_SECONDS = 10


def describe_data(path: Path, sha256: str, rows: int) -> tuple[Data, str | None]:
    """The content of `provenance.json` beside the file, and a warning if it is of another file.

    The label stays on a file that was changed since: synthetic rows stay synthetic after an edit.
    Raises ModelError if `provenance.json` is invalid.
    """
    beside = path.with_name("provenance.json")
    if not beside.exists():
        return Data(source=path.name, sha256=sha256, rows=rows, synthetic=False), None
    with explained(beside, kinds=(*FAULTS, TypeError)):
        provenance = json.loads(beside.read_text("utf-8"))
        data = Data.model_validate(provenance | {"sha256": sha256, "rows": rows})
    if provenance.get("sha256") == sha256:
        return data, None
    changed = {"source": f"{path.name}, changed since: {data.source}", "license": None}
    warning = f"{beside} does not describe this {path.name} (its sha256 is another); rewrite it"
    return data.model_copy(update=changed), f"{warning}, with the sha256 {sha256}"


def describe_code() -> Code | None:
    """The commit of the work tree in which this package is tracked."""
    here = Path(__file__).parent
    try:
        _git(here, "ls-files", "--error-unmatch", Path(__file__).name)
        return Code(
            commit=_git(here, "rev-parse", "HEAD"),
            dirty=bool(_git(here, "status", "--porcelain", "--untracked-files=no")),
        )
    except (OSError, subprocess.SubprocessError):
        return None


def installed_packages() -> dict[str, str]:
    """The versions of the packages that an artifact depends on, as installed here."""
    return {name: installed(name) for name in PACKAGES}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603
        ["git", "-C", str(folder), *arguments],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
        timeout=GIT_TIMEOUT_SECONDS,
    )
    return done.stdout.strip()
