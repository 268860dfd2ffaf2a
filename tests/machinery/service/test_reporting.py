"""Reports of the processes that serve."""

from pathlib import Path
from typing import Any

import pytest
from processes import served
from support import NEW, PATH, PATIENCE_SECONDS
from test_reports import TRACE, sentry  # noqa: F401  (a fixture)


@pytest.mark.parametrize("fresh_url", ["sqlite"], indirect=True)
def test_a_process_sends_its_reports_before_it_ends(
    fresh_url: str,
    sentry: tuple[str, list[dict[str, Any]]],  # noqa: F811
    tmp_path: Path,
) -> None:
    dsn, taken = sentry
    environment = {"DATABASE_URL": fresh_url, "SENTRY_DSN": dsn}
    with served(tmp_path, **environment) as (process, send):
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        assert send("POST", PATH, json=NEW, headers=headers).status == 503
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    (report,) = taken
    assert report["exception"]["values"][-1]["type"] == "OperationalError"
    assert report["tags"]["trace_id"] == TRACE
