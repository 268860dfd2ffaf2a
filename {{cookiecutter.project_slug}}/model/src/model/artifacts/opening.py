"""A store by its name: a folder, or a bucket by its URL."""

from hashlib import sha256
from pathlib import Path

from model.artifacts.store import Store
from model.settings import Settings


def folder_of(settings: Settings, name: str | None = None) -> Path:
    """The folder that a store is in; for a bucket, where those versions are that were needed."""
    name = name or settings.model_store
    if "://" not in name:
        return Path(name)
    return settings.model_cache / sha256(name.encode()).hexdigest()[:16]


def open_store(settings: Settings, name: str | None = None) -> Store:
    """The store that MODEL_STORE names, or another one; a bucket is not asked for anything yet.

    Raises:
        ModelError: it is a URL, and of nothing that can be a store.
    """
    name, folder = name or settings.model_store, folder_of(settings, name)
    if "://" not in name:
        return Store(folder)
    from model.artifacts.bucket import Bucket  # which loads a library that folders do not need

    return Bucket(name, folder)
