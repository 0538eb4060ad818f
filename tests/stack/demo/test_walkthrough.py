"""The demo's walkthrough on the tests' gateway and database, with a running WhatsApp adapter."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from hub.demo import summary, walk_through
from hub.demo.narrator import day, rupiah
from hub.demo.ordering import ITEMS, NOTE, PARTNER
from hub.errors import UserError
from tests.stack.demo.conftest import DemoRunner
from tests.support.client import RunningGateway
from tests.support.context import Caller, broken_invariants, call, value


def partner_of(conn: psycopg.Connection[object]) -> Caller:
    return Caller(
        "partner", str(value(conn, "select id from app.partners where business_name = %s", PARTNER))
    )


def test_demo_can_be_repeated(gateway: RunningGateway, runner: DemoRunner) -> None:
    with runner.open() as demo:
        first = walk_through(demo)
    with runner.open() as demo:
        second = walk_through(demo)
    assert first["order_number"] != second["order_number"]
    assert first["grand_total"] == second["grand_total"]
    assert runner.output.count("WhatsApp · CV Priangan Makmur") == 4
    assert re.search(
        r"untuk satu\s+kali pakai|untuk\W+satu kali pakai", runner.output
    )  # messages are shown whole
    for expected in ("POINTS_INSUFFICIENT", "UNKNOWN_SKU", '"duplicate": true', "EARNED", "COMPLETED"):
        assert expected in runner.output
    with psycopg.connect(gateway.database_url) as conn:
        partner = partner_of(conn)
        used, balance = conn.execute(
            "select credit_used, point_balance from app.partners where id = %s", [partner.sub]
        ).fetchall()[0]
        assert (used, balance > 0) == (0, True)
        reserved = "select sum(reserved) from app.inventory"
        assert value(conn, reserved) == 0
        assert broken_invariants(conn) == {}


def test_demo_cancels_open_order_of_interrupted_demo(gateway: RunningGateway, runner: DemoRunner) -> None:
    with psycopg.connect(gateway.database_url) as conn:
        partner = partner_of(conn)
        left = call(
            conn,
            partner,
            "submit_order",
            items=ITEMS,
            notes=NOTE,
            idempotency_key="left-by-an-interrupted-demo",
        )
    with runner.open() as demo:
        walk_through(demo)
    assert f"{left['order_number']}, left by an interrupted demo, is cancelled" in runner.output
    with psycopg.connect(gateway.database_url) as conn:
        assert value(conn, "select credit_used from app.partners where id = %s", partner.sub) == 0


def test_demo_stops_with_a_clear_error_when_a_message_is_not_delivered(
    runner: DemoRunner, tmp_path: Path
) -> None:
    with (
        pytest.raises(UserError, match=r"'order_routed' was not delivered within 0\.5 seconds") as failure,
        runner.open(messages=tmp_path / "no-adapter-writes-here", delivery_seconds=0.5) as demo,
    ):
        walk_through(demo)
    assert failure.value.code == 1


def test_demo_names_the_call_that_is_refused(gateway: RunningGateway, runner: DemoRunner) -> None:
    with psycopg.connect(gateway.database_url) as conn:
        conn.execute("update app.agents set is_active = false where role = 'ADMIN'")
    try:
        with pytest.raises(UserError, match=r"POST /rpc/login"), runner.open() as demo:
            walk_through(demo)
    finally:
        with psycopg.connect(gateway.database_url) as conn:
            conn.execute("update app.agents set is_active = true where role = 'ADMIN'")


@pytest.mark.skipif(not shutil.which("curl"), reason="this machine has no curl")
def test_printed_curl_commands_work(runner: DemoRunner) -> None:
    with runner.open() as demo:
        walk_through(demo)
        summary.show(demo)
    lines = re.findall(r"^curl .*$", runner.output, re.MULTILINE)
    assert len(lines) == 4
    answers = [
        json.loads(
            subprocess.run(
                ["env", "no_proxy=*", *shlex.split(line)], capture_output=True, check=True, text=True
            ).stdout
        )
        for line in lines
    ]
    assert len(answers[0]) == 3
    assert answers[1]["points_promised"] > 0
    assert answers[2][0]["order_items"][0]["products"]["sku"]
    assert [invoice["days_overdue"] > 0 for invoice in answers[3]] == [True, True]


def test_summary_names_the_pages_and_their_accounts(gateway: RunningGateway, runner: DemoRunner) -> None:
    with psycopg.connect(gateway.database_url) as conn:
        subdist, number = conn.execute("select id, whatsapp_number from app.sub_distributors").fetchall()[0]
        emails = {row[0] for row in conn.execute("select email from app.agents")}
        emails |= {row[0] for row in conn.execute("select email from app.partners")}
    with runner.open() as demo:
        demo.ids["subdist"] = str(subdist)
        shop, queue, console = summary.addresses(demo, "http://127.0.0.1:18164/")
    assert "http://127.0.0.1:18164/ " in shop
    assert ("http://127.0.0.1:18164/#/link" in queue, number in queue) == (True, True)
    assert "http://127.0.0.1:18164/console/" in console
    assert set(re.findall(r"[\w-]+@[\w.]+\w", shop + console)) <= emails


def test_printed_tokens_are_valid(gateway: RunningGateway, runner: DemoRunner) -> None:
    with runner.open() as demo:
        walk_through(demo)
        for role, token in summary.tokens_of(demo).items():
            assert demo.api.caller(token).row("me")["role"] == role


def test_amounts_and_dates_are_formatted_the_indonesian_way() -> None:
    assert rupiah(1250000.0) == "Rp1.250.000"
    assert rupiah("950") == "Rp950"
    assert day("2027-01-10T18:30:00+00:00") == "11-01-2027"
