"""The model server itself, from the environment of a stamped-out project and its settings."""

from model import logs  # type: ignore[import-not-found]
from model.server import create_app  # type: ignore[import-not-found]
from model.settings import load_settings  # type: ignore[import-not-found]

settings = load_settings()
logs.configure(settings)
app = create_app(settings)
