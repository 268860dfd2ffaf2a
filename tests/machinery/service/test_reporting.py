"""Reports of the processes that serve."""

from pathlib import Path

import pytest
from processes import served
from support import NEW, PATH, PATIENCE_SECONDS, wait_until
from test_reports import TRACE, Sentry


@pytest.mark.parametrize("fresh_url", ["sqlite"], indirect=True)
def test_a_process_sends_its_last_reports_when_it_ends(fresh_url: str, tmp_path: Path) -> None:
    sentry = Sentry()
    environment = {"DATABASE_URL": fresh_url, "SENTRY_DSN": sentry.dsn, "WORKERS": "1"}
    with sentry, served(tmp_path, **environment) as (process, send):
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        for _ in range(3):
            assert send("POST", PATH, json=NEW, headers=headers).status == 503
        process.terminate()
        wait_until(lambda: "Handling signal: term" in (tmp_path / "log").read_text())
        with sentry.serving():
            assert process.wait(PATIENCE_SECONDS) == 0
    assert len(sentry.taken) == 3
    for report in sentry.taken:
        assert report["exception"]["values"][-1]["type"] == "OperationalError"
        assert report["tags"]["trace_id"] == TRACE
