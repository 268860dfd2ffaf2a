"""The versions of the model, and the log that says which one is current.

A folder per version, which appears at once or not at all, and the log.
"""

import os
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Any, Literal

from model.artifacts.files import read_private
from model.artifacts.log import LOG_FILE, Entry, append, current_of, parse
from model.artifacts.manifest import MANIFEST_FILE, VERSION, Manifest
from model.artifacts.verification import (
    DIGEST_FILE,
    SIGNATURE_FILE,
    check_whole,
    digest_line,
    read_manifest,
    verify,
)
from model.errors import ModelError, explained

REMEDY = "run `make train`, or `model promote` one of `model versions`"


class NoVersionError(ModelError):
    """A store does not have a version."""

    def __init__(self, store: str, version: str) -> None:
        super().__init__(f"{store}: no version {version!r:.40}; {REMEDY}")


class Store:
    """The versions in a folder, which is made when the first one is added.

    Attributes:
        path: the folder.
        name: for people.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)

    def versions(self) -> tuple[list[Manifest], list[ModelError]]:
        """Every version's manifest, oldest first; and what is wrong with those that have none."""
        manifests: list[Manifest] = []
        faults: list[ModelError] = []
        for version in self._names():
            try:
                manifests.append(self.read(version))
            except ModelError as error:
                faults.append(error)
        return sorted(manifests, key=lambda each: each.created_at), faults

    def known(self) -> dict[str, Any]:
        """What is known of the versions, oldest first, and the log, as JSON has it.

        Without what nobody reads here; and packages, what the rows of training held, and slices of
        rows for the current one alone, or hundreds of versions would take megabytes.
        """
        log = self.history()
        current = current_of(log)
        own: Any = {"self_test": True}
        past = own | {"packages": True, "observed": True, "evaluation": {"slices"}}
        return {
            "current": current,
            "versions": [
                each.model_dump(mode="json", exclude=own if each.version == current else past)
                for each in self.versions()[0]
            ],
            "log": [each.model_dump(mode="json", by_alias=True) for each in log],
        }

    def history(self) -> list[Entry]:
        """Which version was current when, oldest first; raises ModelError if it is damaged."""
        path = self.path / LOG_FILE
        with explained(self.path):
            return parse(read_private(path), path) if path.exists() else []

    def current(self) -> str:
        """The version that is to be served; raises ModelError if none was ever promoted."""
        if current := current_of(self.history()):
            return current
        raise ModelError(f"{self.name}: no current version; {REMEDY}")

    def folder(self, version: str | None = None) -> Path:
        """A version's folder, by default the current one's; raises ModelError if there is none."""
        version = self.current() if version is None else version
        with explained(self.path):
            if not VERSION.fullmatch(version) or not (self.path / version).is_dir():
                raise NoVersionError(self.name, version)
        return self.path / version

    def read(self, version: str | None = None) -> Manifest:
        """The manifest of a version, by default of the current one."""
        return read_manifest(self.folder(version))

    def is_current(self, manifest: Manifest) -> bool:
        """Whether this version is the current one."""
        return manifest.version == current_of(self.history())

    def add(
        self,
        manifest: Manifest,
        files: Mapping[str, bytes],
        check: Callable[[Path], object] = verify,
        sign: Callable[[bytes], bytes] | None = None,
    ) -> bool:
        """Store a version for good; False when it was there already, which is left as it is.

        A damaged one, or one without this signature, is replaced: the same rows make the same
        version, so that training again is how to repair it.

        Args:
            manifest: what it is.
            files: those that the manifest vouches for.
            check: reads back what was written, before it is given its name.
            sign: makes the signature of the manifest.

        Raises:
            ModelError: by `check`, or when the folder cannot be written; then nothing is stored.
        """
        with suppress(ModelError):
            there = self._stored(manifest.version)
            check(there)
            if not sign or _is_signed(there, sign):
                return False
        text = (manifest.model_dump_json(indent=2) + "\n").encode()
        files = {**files, MANIFEST_FILE: text, DIGEST_FILE: digest_line(text).encode()}
        if sign:
            files[SIGNATURE_FILE] = sign(text)
        self._place(manifest.version, files, check)
        return True

    def receive(self, folder: Path) -> bool:
        """Store the version in another store's folder; False when it was there already."""
        with suppress(ModelError):
            check_whole(self._stored(folder.name))
            return False
        self._place(folder.name, content_of(folder), check_whole)
        return True

    def promote(
        self,
        version: str,
        reason: str = "",
        evidence: dict[str, Any] | None = None,
        *,
        action: Literal["promote", "rollback"] = "promote",
        over: Sequence[Entry] | None = None,
    ) -> None:
        """Make a version the current one, and log who did so and why.

        Args:
            version: which.
            reason: why.
            evidence: what the gate found.
            action: whether it goes on or back.
            over: the log by which this was decided; what it is now, by default.

        Raises:
            ModelError: there is no such version, or the log is another by now: somebody else has
                promoted one.
        """
        self._stored(version)
        entries = self.history() if over is None else over
        entry = Entry(
            time=datetime.now(UTC),
            who=_user(),
            action=action,
            previous=current_of(entries),
            to=version,
            reason=reason,
            evidence=evidence,
        )
        self._append(entry)

    def _append(self, entry: Entry) -> None:
        """Add an entry to the log for good; raises ModelError if another one came first."""
        append(self.path / LOG_FILE, entry)
        self._share(self.path / LOG_FILE)

    def _stored(self, version: str) -> Path:
        """The folder of a version that the store has for sure; raises ModelError if it has not."""
        return self.folder(version)

    def _names(self) -> list[str]:
        return sorted(each.name for each in self.path.glob("*") if VERSION.fullmatch(each.name))

    def _place(
        self, version: str, files: Mapping[str, bytes], check: Callable[[Path], object]
    ) -> None:
        """Give a version its folder, once what was written was read back."""
        target = self.path / version
        with explained(self.path):
            self.path.mkdir(0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-", dir=self.path) as work:
                new = Path(work, version)
                new.mkdir(0o700)
                for name, content in files.items():
                    (new / name).touch(0o600)
                    (new / name).write_bytes(content)
                    self._share(new / name)
                self._share(new)
                check(new)
                if target.exists():  # nothing can be renamed onto a folder that is not empty
                    target.rename(Path(work, "old"))
                new.rename(target)

    def _share(self, path: Path) -> None:
        """Let those read a file or a folder of the store who may read the store's own folder."""
        others = 0o055 if path.is_dir() else 0o044
        path.chmod(stat.S_IMODE(path.stat().st_mode) | self.path.stat().st_mode & others)


def content_of(folder: Path) -> dict[str, bytes]:
    """The files of a version by name."""
    return {each.name: read_private(each) for each in sorted(folder.iterdir())}


def _is_signed(folder: Path, sign: Callable[[bytes], bytes]) -> bool:
    """Whether this signature is there; raises ModelError if there is none at all."""
    return read_private(folder / SIGNATURE_FILE) == sign(read_private(folder / MANIFEST_FILE))


def _user() -> str:
    """Who runs this process: a name, or the id of a user without one."""
    with suppress(OSError, KeyError):
        return getuser()
    return str(os.getuid())
