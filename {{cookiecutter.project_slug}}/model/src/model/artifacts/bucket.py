"""A store in a bucket: `s3://bucket/prefix`, or whatever else obstore reads.

A version is one object, a tar archive that is created once and never changed, and the log is one
object that is replaced only as it was when it was read. What is needed here is kept in a folder.
"""

import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from model.artifacts.log import LOG_FILE, Entry, check_next, parse
from model.artifacts.manifest import VERSION
from model.artifacts.store import REMEDY, NoVersionError, Store, content_of
from model.artifacts.verification import check_whole
from model.errors import ModelError, explained

LIMITS = {"timeout": "20s", "connect_timeout": "3s"}
RETRIES: Any = {"max_retries": 3}


class Bucket(Store):
    """The versions in a bucket.

    The credentials are those of the environment, such as AWS_ACCESS_KEY_ID, or of the machine.

    Args:
        url: of the bucket, with a prefix if need be.
        folder: for those versions that were needed.
    """

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(folder)
        self.name = url
        with _explained(url):
            # The library itself reads this variable only where no other option is given.
            options: Any = {**LIMITS, "allow_http": os.environ.get("AWS_ALLOW_HTTP") == "true"}
            self._objects: Any = from_url(url, client_options=options, retry_config=RETRIES)

    def folder(self, version: str | None = None) -> Path:
        """See `Store.folder`; the version is fetched unless that was done before."""
        version = self.current() if version is None else version
        if VERSION.fullmatch(version) and not (self.path / version).is_dir():
            with suppress(FileNotFoundError):
                super()._place(version, self._fetch(version), check_whole)
        return super().folder(version)

    def history(self) -> list[Entry]:
        """See `Store.history`."""
        return self._read_log()[0]

    def _stored(self, version: str) -> Path:
        """See `Store._stored`: what is kept here may never have come there, or be lost there."""
        with _explained(self.name), suppress(FileNotFoundError):
            if VERSION.fullmatch(version):
                obstore.head(self._objects, f"{version}.tar")
                return self.folder(version)
        raise NoVersionError(self.name, version)

    def _append(self, entry: Entry) -> None:
        entries, content, tag = self._read_log()
        check_next(entries, entry)
        with _explained(self.name):
            try:
                mode: Any = {"e_tag": tag} if tag else "create"
                obstore.put(self._objects, LOG_FILE, content + entry.line(), mode=mode)
            except (AlreadyExistsError, PreconditionError):
                if self.history()[-1:] != [entry]:  # or only the answer was lost
                    self._append(entry)

    def _read_log(self) -> tuple[list[Entry], bytes, str]:
        content, tag = b"", ""
        with suppress(FileNotFoundError):
            content, tag = self._get(LOG_FILE)
        return parse(content, f"{self.name}/{LOG_FILE}"), content, tag

    def _names(self) -> list[str]:
        with _explained(self.name):
            found = obstore.list_with_delimiter(self._objects)["objects"]
        names = (each["path"].rpartition("/")[2].removesuffix(".tar") for each in found)
        return sorted(name for name in names if VERSION.fullmatch(name))

    def _place(
        self, version: str, files: Mapping[str, bytes], check: Callable[[Path], object]
    ) -> None:
        super()._place(version, files, check)
        archive = _packed(content_of(self.path / version))
        with _explained(self.name):
            try:
                obstore.put(self._objects, f"{version}.tar", archive, mode="create")
            except AlreadyExistsError:  # somebody else was first, and theirs is the one that stays
                super()._place(version, self._fetch(version), check)

    def _fetch(self, version: str) -> dict[str, bytes]:
        archive, _ = self._get(f"{version}.tar")
        return _unpacked(archive, f"{self.name}/{version}.tar")

    def _get(self, name: str) -> tuple[bytes, str]:
        """The content of an object, and its tag; raises FileNotFoundError, or ModelError."""
        with _explained(self.name):
            found = obstore.get(self._objects, name)
            return bytes(found.bytes()), found.meta["e_tag"] or ""

    def _share(self, path: Path) -> None:
        """What is kept here is for nobody else."""


def _packed(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def _unpacked(archive: bytes, where: str) -> dict[str, bytes]:
    """The files at the top of an archive; raises ModelError if there is anything else in it."""
    files: dict[str, bytes] = {}
    with (
        explained(where, REMEDY, kinds=(tarfile.TarError, KeyError)),
        tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar,
    ):
        for member in tar:
            file = tar.extractfile(member)
            if file is None or Path(member.name).name != member.name:
                raise tarfile.ReadError(f"holds {member.name!r:.100}")
            files[member.name] = file.read()
    return files


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Say in one line what is wrong with a bucket."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        words = " ".join(str(error).partition("Debug source:")[0].split())
        raise ModelError(f"MODEL_STORE: {url}: {words:.300}") from None
