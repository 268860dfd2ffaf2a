"""The model in the caller's own process: the same messages, no server.

Found by the entry point `library` of the group `predictor.engine`, so that who uses it imports
nothing of this package.
"""

from pathlib import Path
from typing import Any

from model import protocol
from model.artifact import MANIFEST_FILE
from model.engine import Engine, announce
from model.store import Store


class LibraryEngine:
    """Answers Open Inference Protocol messages, from several threads if need be."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def infer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The inference response to a request.

        Raises:
            contract.ContractError: the request is not one.
        """
        question = protocol.question_of(request)
        answer = self._engine.predict(question.columns)
        return protocol.response_of(self._engine.manifest, question, answer)

    def metadata(self) -> dict[str, Any]:
        """What `GET /v2/models/{name}` answers."""
        return protocol.metadata(self._engine)


def open_engine(path: str | Path) -> LibraryEngine:
    """The engine of a version's folder, or of the current version in a store, announced in the log.

    Raises:
        model.errors.ModelError: there is none that may be used.
    """
    path = Path(path)
    folder = path if (path / MANIFEST_FILE).exists() else Store(path).folder()
    engine = Engine.load(folder)
    announce(engine.manifest)
    return LibraryEngine(engine)
