"""Days without Tryton: no order is lost, each has one sale, the backlog drains in order."""

import pytest

from tests.erp.environment import Environment
from tests.erp.outage import run_tryton


@pytest.mark.long_form
def test_day_without_tryton_with_300_orders_waiting(environment: Environment) -> None:
    report = run_tryton(environment, orders=300, kills=0)
    print(report)
    assert (report.exported, report.exported_meanwhile) == (300, 0), report
    assert (report.doubles, report.out_of_order, report.notices > 0) == (0, 0, True), report


@pytest.mark.long_form
def test_adapter_and_tryton_killed_50_times_during_a_day_without_it_and_the_recovery(
    environment: Environment,
) -> None:
    report = run_tryton(environment, orders=300, kills=50)
    print(report)
    assert (report.exported, report.exported_meanwhile, report.notices > 0) == (300, 0, True), report
