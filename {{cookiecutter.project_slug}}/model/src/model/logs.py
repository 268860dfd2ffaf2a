"""One stream of structured lines on standard output, gunicorn's own among them."""

import logging
import sys
from typing import Any

import orjson
import structlog
from gunicorn.glogging import Logger
from structlog.stdlib import ProcessorFormatter

from model.settings import Settings


def configure(settings: Settings) -> None:
    """Send every log line of this process to standard output in the format that is set."""
    people = {"auto": sys.stdout.isatty(), "console": True, "json": False}[settings.log_format]
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
    processors = [ProcessorFormatter.remove_processors_meta, *last]
    handler.setFormatter(ProcessorFormatter(foreign_pre_chain=shared, processors=processors))
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
