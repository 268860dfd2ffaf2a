"""uvicorn's worker for gunicorn, with the event loop and the parser that the environment names."""

import os

from uvicorn_worker import UvicornWorker  # type: ignore[import-not-found]


class Worker(UvicornWorker):  # type: ignore[misc]
    """LOOP is `asyncio` or `uvloop`, HTTP is `h11` or `httptools`."""

    CONFIG_KWARGS = {  # noqa: RUF012
        "loop": os.environ.get("LOOP", "auto"),
        "http": os.environ.get("HTTP", "auto"),
        "lifespan": "off",
    }
