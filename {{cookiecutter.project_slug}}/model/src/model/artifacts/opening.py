"""A store by its name: a folder, or a bucket by its URL."""

from pathlib import Path

from model.artifacts.store import Store
from model.settings import Settings


def open_store(settings: Settings, name: str | None = None) -> Store:
    """The store that MODEL_STORE names, or another one; a bucket is not asked for anything yet.

    Raises:
        ModelError: it is a URL, and of nothing that can be a store.
    """
    name = name or settings.model_store
    if "://" not in name:
        return Store(Path(name))
    from model.artifacts.bucket import Bucket  # which loads a library that folders do not need

    return Bucket(name, settings.model_cache)
