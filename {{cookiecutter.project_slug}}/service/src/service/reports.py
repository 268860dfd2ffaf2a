"""What the service logs with a traceback is reported to Sentry as well, if SENTRY_DSN says where.

A report tells the error and where in the code it happened, and nothing of the caller: no request,
no values of variables, and only the first line of a message, since what follows may quote a row.
"""

import sys
from typing import TYPE_CHECKING, Any

from service.settings import Settings, invalid_setting

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

TAGS = ("request_id", "trace_id")


def check(settings: Settings) -> None:
    """Find out whether reports could be sent.

    Raises:
        SystemExit: the setting `sentry_dsn` is invalid, or nothing that could do it is installed.
    """
    if not settings.sentry_dsn:
        return
    try:
        from sentry_sdk.utils import BadDsn, Dsn
    except ModuleNotFoundError:
        fault = "sentry-sdk is not installed: see `sentry` in pyproject.toml"
        raise invalid_setting("sentry_dsn", fault) from None
    try:
        Dsn(settings.sentry_dsn.get_secret_value())
    except BadDsn as error:
        raise invalid_setting("sentry_dsn", str(error)) from None


def processors(settings: Settings) -> list[Any]:
    """The processor of structlog that reports, if reports are sent."""
    if not settings.sentry_dsn:
        return []
    check(settings)
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration

    sentry_sdk.init(
        settings.sentry_dsn.get_secret_value(),
        # None of those that watch requests, statements and log lines.
        default_integrations=False,
        integrations=[AtexitIntegration(lambda pending, timeout: None)],
        include_local_variables=False,
        max_breadcrumbs=0,
        before_send=_shorten,
    )

    def report(_logger: object, _method: str, line: Any) -> Any:
        if error := line.get("exc_info"):
            error = sys.exc_info()[1] if error is True else error
            sentry_sdk.capture_exception(
                error, tags={name: line[name] for name in TAGS if name in line}
            )
        return line

    return [report]


def _shorten(event: "Event", _hint: "Hint") -> "Event":
    for each in event.get("exception", {}).get("values", []):
        each["value"] = each["value"].partition("\n")[0]
    return event
