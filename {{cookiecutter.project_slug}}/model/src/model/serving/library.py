"""The model in the caller's own process, found by the entry point `predictor.engine: library`."""

import json
from pathlib import Path
from threading import Lock, Thread
from time import monotonic
from typing import Any

import structlog

from model.artifacts.manifest import MANIFEST_FILE
from model.artifacts.opening import open_store
from model.artifacts.store import Store
from model.engines.explaining import explain
from model.engines.loading import Model, log_version
from model.errors import ModelError
from model.serving import protocol
from model.settings import Settings, load_settings

PERIOD_SECONDS = 0.5
"""Seconds between two looks at the store, while requests come."""


class LibraryModel:
    """Answers Open Inference Protocol messages, from several threads if need be.

    Args:
        store: of which the current version answers, whichever that is by then; None for one version
            for good.
        folder: of that version.
    """

    def __init__(self, store: Store | None, folder: Path, settings: Settings) -> None:
        self._store, self._folder, self._keys = store, folder, settings.model_verify_keys
        self._model = Model.load(folder, self._keys)
        self._seen = self._model.manifest.version
        self._looking, self._next = Lock(), 0.0
        log_version(self._model.manifest)

    def infer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The inference response to a request; raises contract.ContractError if it is not valid."""
        inference = protocol.read_request(request)
        if self._store and monotonic() > self._next and self._looking.acquire(blocking=False):
            self._next = monotonic() + PERIOD_SECONDS
            Thread(target=self._look, args=[self._store], daemon=True).start()
        model = self._model
        return protocol.response_of(model, inference, model.predict(inference.columns))

    def metadata(self) -> dict[str, Any]:
        """What `GET /v2/models/{name}` answers."""
        return protocol.metadata(self._model)

    def explain(self, request: dict[str, Any]) -> bytes:
        """What `POST /v2/models/{name}/explain` answers; raises as `infer` does."""
        columns = protocol.read_request(request).columns
        return explain(self._model, columns).model_dump_json().encode()

    def versions(self) -> bytes:
        """What `GET /versions` answers; raises ModelError."""
        return json.dumps((self._store or Store(self._folder.parent)).known()).encode()

    def _look(self, store: Store) -> None:
        """Load what has become current, beside what answers until it is there."""
        try:
            version = store.current()
            if version != self._seen:
                folder = store.folder(version)
                self._seen = version  # what is there and cannot be loaded is not tried again
                self._model = Model.load(folder, self._keys)
                log_version(self._model.manifest)
        except ModelError as error:
            served = self._model.manifest.version
            structlog.get_logger().error(f"{served} is served as before: {error}")
        finally:
            self._looking.release()


def open_model(path: str | Path) -> LibraryModel:
    """The model in a version's folder, or the current version of a store, named in the log.

    Raises:
        model.errors.ModelError: there is no usable version.
    """
    settings = load_settings()
    if (Path(path) / MANIFEST_FILE).exists():
        return LibraryModel(None, Path(path), settings)
    store, version = open_store(settings, str(path)), settings.model_version
    return LibraryModel(None if version else store, store.folder(version or None), settings)
