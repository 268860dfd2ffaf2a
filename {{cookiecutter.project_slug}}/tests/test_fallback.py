"""A model that is gone, or has never been there, does not fail the product's request."""

from pathlib import Path
from typing import Any

from conftest import TARGET, Pair

EXPECTED = f"expected_{TARGET}"


def test_a_model_that_is_gone_is_replaced_by_its_fallback(
    pair: Pair, manifest: dict[str, Any]
) -> None:
    pair.place()
    pair.model.stop()
    try:
        pair.wait("degraded")
        placed = pair.place()
        assert placed["metadata"]["served_by"] == "fallback"
        assert placed["metadata"][EXPECTED] == manifest["fallback"][TARGET]
        assert pair.client.get("/livez").status_code == 200
        # The database keeps it: a new process knows it as well.
        pair.service.stop()
        pair.service.start()
        pair.wait("degraded")
        assert pair.place()["metadata"] == placed["metadata"]
    finally:
        pair.model.start()
    pair.wait("ok")
    assert pair.place()["metadata"]["served_by"] == "model"


def test_before_any_model_has_answered_nothing_is_expected(store: Path, tmp_path: Path) -> None:
    pair = Pair(tmp_path, store, f"sqlite:///{tmp_path / 'test.db'}", "http://127.0.0.1:PORT")
    pair.service.start()
    try:
        pair.wait("degraded")
        metadata = pair.place()["metadata"]
        assert (metadata["served_by"], metadata[EXPECTED]) == ("none", None)
        pair.model.start()
        pair.wait("ok")
        assert pair.place()["metadata"]["served_by"] == "model"
    finally:
        pair.stop()
