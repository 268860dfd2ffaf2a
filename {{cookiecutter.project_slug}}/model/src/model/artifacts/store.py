"""The versions of the model, and which one is current.

A folder per version and a text file `current` that names one; both appear at once or not at all.
"""

import os
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from model.artifacts.files import read_private
from model.artifacts.manifest import MANIFEST_FILE, VERSION, Manifest
from model.artifacts.verification import (
    DIGEST_FILE,
    SIGNATURE_FILE,
    digest_line,
    read_manifest,
    verify,
)
from model.errors import ModelError, explained

CURRENT_FILE = "current"
REMEDY = "run `make train`, or `model promote` one of `model versions`"


class Store:
    """The versions in a folder, which is made when the first one is added."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def versions(self) -> tuple[list[Manifest], list[ModelError]]:
        """Every version's manifest, oldest first; and what is wrong with those that have none."""
        manifests: list[Manifest] = []
        faults: list[ModelError] = []
        for folder in sorted(self.path.glob("*")):
            if VERSION.fullmatch(folder.name):
                try:
                    manifests.append(read_manifest(folder))
                except ModelError as error:
                    faults.append(error)
        return sorted(manifests, key=lambda each: each.created_at), faults

    def current(self) -> str:
        """The version that is to be served; raises ModelError if none was ever promoted."""
        if version := self._named():
            return version
        raise ModelError(f"{self.path}: no current version; {REMEDY}")

    def folder(self, version: str | None = None) -> Path:
        """A version's folder, by default the current one's; raises ModelError if there is none."""
        version = self.current() if version is None else version
        if not VERSION.fullmatch(version) or not (self.path / version).is_dir():
            raise ModelError(f"{self.path}: no version {version!r:.40}; {REMEDY}")
        return self.path / version

    def read(self, version: str | None = None) -> Manifest:
        """The manifest of a version, by default of the current one."""
        return read_manifest(self.folder(version))

    def current_manifest(self, keys: Sequence[Path] = ()) -> Manifest | None:
        """The current version's manifest, None if there is none to be read.

        Args:
            keys: as `read_manifest` has them.
        """
        with suppress(ModelError):
            return read_manifest(self.folder(), keys)
        return None

    def is_current(self, manifest: Manifest) -> bool:
        """Whether this version is the current one."""
        return self._named() == manifest.version

    def _named(self) -> str:
        current = self.path / CURRENT_FILE
        with explained(current, REMEDY):
            return current.read_text("utf-8").strip() if current.exists() else ""

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
        target = self.path / manifest.version
        if target.exists():
            with suppress(ModelError):
                check(target)
                if not sign or _is_signed(target, sign):
                    return False
        text = (manifest.model_dump_json(indent=2) + "\n").encode()
        files = {**files, MANIFEST_FILE: text, DIGEST_FILE: digest_line(text).encode()}
        if sign:
            files[SIGNATURE_FILE] = sign(text)
        with explained(self.path):
            self.path.mkdir(0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-", dir=self.path) as work:
                new = Path(work, manifest.version)
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
        return True

    def promote(self, version: str) -> None:
        """Make a version the current one; raises ModelError if that cannot be done."""
        self.folder(version)
        new = self.path / f".{CURRENT_FILE}-{os.getpid()}"
        with explained(self.path):
            new.write_text(f"{version}\n", "utf-8")
            self._share(new)
            new.replace(self.path / CURRENT_FILE)

    def _share(self, path: Path) -> None:
        """Let those read a file or a folder of the store who may read the store's own folder."""
        others = 0o055 if path.is_dir() else 0o044
        path.chmod(stat.S_IMODE(path.stat().st_mode) | self.path.stat().st_mode & others)


def _is_signed(folder: Path, sign: Callable[[bytes], bytes]) -> bool:
    """Whether this signature is there; raises ModelError if there is none at all."""
    return read_private(folder / SIGNATURE_FILE) == sign(read_private(folder / MANIFEST_FILE))
