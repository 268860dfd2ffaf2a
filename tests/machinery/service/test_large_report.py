"""The report of 100,000 predictions is as quick and as small as that of a few."""

from time import perf_counter

import sqlalchemy as sa
from conftest import Service
from test_report import LAST, VERSIONS, page_of, row, text_of

from service.database import Database
from service.report.findings import look
from service.report.live import snapshot
from service.report.page import render
from service.tables import Prediction


def test_the_report_of_100_000_predictions(service: Service) -> None:
    few = page_of(service, [row(16 * at) for at in range(125)])
    columns = [each for each in Prediction.__table__.c if each.name != "id"]
    database = Database(service.url, limited=False)
    with database.writing() as session:
        session.execute(sa.text("CREATE TABLE few AS SELECT * FROM predictions"))
        session.execute(sa.delete(Prediction))
        # Each of them 800 times, the latest last, as if they had come in this order.
        times = sa.text(
            "INSERT INTO predictions WITH RECURSIVE n (i) AS"
            " (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 799)"
            f" SELECT few.id * 800 + i, {', '.join(each.name for each in columns)} FROM few, n"
        )
        session.execute(times)
        session.execute(sa.text("DROP TABLE few"))
    started = perf_counter()
    with snapshot(database) as connection:
        page = render(look(connection, VERSIONS, LAST), 250.0)
    print(f"{perf_counter() - started:.2f} s, {len(page.encode()):,} bytes")
    database.engine.dispose()
    assert "100,000 100,000" in text_of(page)
    assert len(page.encode()) < 1.1 * len(few.encode()) < 2**20
