"""One stream of structured lines on standard output, gunicorn's own among them."""

import logging
import sys
from typing import Any

import orjson
import structlog
from gunicorn.glogging import Logger

from model.settings import Settings


def configure(settings: Settings) -> None:
    """Send every log line of this process to standard output in the format that is set."""
    people = settings.log_format == "console" or (
        settings.log_format == "auto" and sys.stdout.isatty()
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("iso"),
    ]
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
        if people
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_dumps)]
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[remove_meta, *last]
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)


def _dumps(line: dict[str, Any], default: Any) -> str:
    return orjson.dumps(line, default=default).decode()


class GunicornLogger(Logger):  # type: ignore[misc]
    """Leaves gunicorn's lines to the root logger; requests are logged by the application."""

    def setup(self, cfg: Any) -> None:
        """Take gunicorn's own handlers away again."""
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
        self.error_log.propagate = True
