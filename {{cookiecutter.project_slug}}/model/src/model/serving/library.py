"""The model in the caller's own process, found by the entry point `predictor.engine: library`."""

from pathlib import Path
from typing import Any

from model.artifacts.manifest import MANIFEST_FILE
from model.artifacts.store import Store
from model.engines.loading import Model, log_version
from model.serving import protocol
from model.settings import load_settings


class LibraryModel:
    """Answers Open Inference Protocol messages, from several threads if need be."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def infer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The inference response to a request; raises contract.ContractError if it is not valid."""
        inference = protocol.read_request(request)
        predictions = self._model.predict(inference.columns)
        return protocol.response_of(self._model, inference, predictions)

    def metadata(self) -> dict[str, Any]:
        """What `GET /v2/models/{name}` answers."""
        return protocol.metadata(self._model)


def open_model(path: str | Path) -> LibraryModel:
    """The model in a version's folder, or the current version of a store, named in the log.

    Raises:
        model.errors.ModelError: there is no usable version.
    """
    path = Path(path)
    folder = path if (path / MANIFEST_FILE).exists() else Store(path).folder()
    model = Model.load(folder, load_settings().model_verify_keys)
    log_version(model.manifest)
    return LibraryModel(model)
