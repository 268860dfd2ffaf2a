"""Where a version comes from: its data, its code, its packages."""

import json
import subprocess
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from model.artifacts.manifest import PACKAGES, Code, Data
from model.errors import FAULTS, explained

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


def packages_of(pipeline: Any) -> dict[str, str]:
    """The versions of the packages that a version of this pipeline depends on, as installed here.

    Those that every version is made with, then those of its parameters' classes and functions.
    """
    modules = {each.partition(".")[0] for each in _modules(pipeline)} - {"model", "contract"}
    found = packages_distributions()
    others = {name for module in modules for name in found.get(module, ())} - {*PACKAGES}
    return {name: installed(name) for name in (*PACKAGES, *sorted(others))}


def _modules(value: Any) -> Iterator[str]:
    """The modules that a parameter's own class or function comes from, and those within it."""
    yield getattr(value, "__module__", None) or type(value).__module__
    if isinstance(value, (list, tuple)):
        inner: Iterable[Any] = value
    else:
        inner = value.get_params(deep=False).values() if hasattr(value, "get_params") else ()
    for each in inner:
        yield from _modules(each)


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own arguments, without a shell
        ["git", "-C", str(folder), *arguments],  # noqa: S607 - the git of whoever trains
        check=True,
        capture_output=True,
        text=True,
        timeout=GIT_TIMEOUT_SECONDS,
    )
    return done.stdout.strip()
