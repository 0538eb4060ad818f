"""Days without the drop folder: no order is lost, each is placed once, the backlog drains in order."""

from pathlib import Path

import psycopg
import pytest

from tests.erp.outage import Report, run_csv, running_csv
from tests.support.client import RunningGateway
from tests.support.context import make_context


def run_with_folder(gateway: RunningGateway, folder: Path, **sizes: int) -> Report:
    """An outage of a drop folder; the gateway's database is used once."""
    with psycopg.connect(gateway.database_url) as conn:
        context = make_context(conn, erp="csv")
        conn.execute("update app.inventory set erp_stock = 1000000")
    with running_csv(gateway, context, folder) as environment:
        return run_csv(environment, **sizes)


def test_share_that_is_away_and_an_adapter_that_is_killed_lose_no_order(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    """The short form; for Tryton, the tests of the round trip are."""
    report = run_with_folder(gateway, tmp_path, orders=12, kills=3)
    assert (report.exported, report.exported_meanwhile) == (12, 0), report
    assert (report.doubles, report.out_of_order, report.notices > 0) == (0, 0, True), report


@pytest.mark.long_form
def test_adapter_killed_50_times_during_a_day_without_the_share_and_the_recovery(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    report = run_with_folder(gateway, tmp_path, orders=2000, kills=50)
    print(report)
    assert (report.exported, report.exported_meanwhile) == (2000, 0), report
    assert (report.doubles, report.out_of_order, report.notices > 0) == (0, 0, True), report
