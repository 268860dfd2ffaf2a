"""The team's time zone."""

from zoneinfo import ZoneInfo

TIMEZONE = ZoneInfo("{{ cookiecutter.__timezone }}")
"""Where a moment without an offset is meant, and where days begin and end."""
