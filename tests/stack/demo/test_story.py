"""The demo's story, told without a stack: the gateway of the tests, its database, a running adapter."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from hub.demo import closing, play
from hub.demo.narrator import day, rupiah
from hub.demo.ordering import ITEMS, NOTE, PARTNER
from hub.errors import UserError
from tests.stack.demo.conftest import Theatre
from tests.support.client import RunningGateway
from tests.support.context import Caller, broken_invariants, call, value


def partner_of(conn: psycopg.Connection[object]) -> Caller:
    return Caller(
        "partner", str(value(conn, "select id from app.partners where business_name = %s", PARTNER))
    )


def test_the_story_is_told_and_can_be_told_again(gateway: RunningGateway, theatre: Theatre) -> None:
    with theatre.open() as stage:
        first = play(stage)
    with theatre.open() as stage:
        second = play(stage)
    assert first["order_number"] != second["order_number"]
    assert first["grand_total"] == second["grand_total"]
    assert theatre.said.count("WhatsApp · CV Priangan Makmur") == 4
    assert re.search(
        r"untuk satu\s+kali pakai|untuk\W+satu kali pakai", theatre.said
    )  # bubbles are shown whole
    for telling in ("POINTS_INSUFFICIENT", "UNKNOWN_SKU", '"duplicate": true', "EARNED", "COMPLETED"):
        assert telling in theatre.said
    with psycopg.connect(gateway.database_url) as conn:
        partner = partner_of(conn)
        used, balance = conn.execute(
            "select credit_used, point_balance from app.partners where id = %s", [partner.sub]
        ).fetchall()[0]
        assert (used, balance > 0) == (0, True)
        reserved = "select sum(reserved) from app.inventory"
        assert value(conn, reserved) == 0
        assert broken_invariants(conn) == {}


def test_an_order_left_by_a_story_that_broke_off_is_cleared_away(
    gateway: RunningGateway, theatre: Theatre
) -> None:
    with psycopg.connect(gateway.database_url) as conn:
        partner = partner_of(conn)
        left = call(
            conn, partner, "submit_order", items=ITEMS, notes=NOTE, idempotency_key="left-by-a-broken-story"
        )
    with theatre.open() as stage:
        play(stage)
    assert f"{left['order_number']}, left by a demo that broke off, is cancelled" in theatre.said
    with psycopg.connect(gateway.database_url) as conn:
        assert value(conn, "select credit_used from app.partners where id = %s", partner.sub) == 0


def test_a_story_that_goes_otherwise_ends_with_a_clear_line(theatre: Theatre, tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"'order_routed' was not delivered within 0\.5 seconds") as failure,
        theatre.open(messages=tmp_path / "nobody-writes-here", patience=0.5) as stage,
    ):
        play(stage)
    assert failure.value.code == 1


def test_a_call_that_is_refused_is_named(gateway: RunningGateway, theatre: Theatre) -> None:
    with psycopg.connect(gateway.database_url) as conn:
        conn.execute("update app.agents set is_active = false where role = 'ADMIN'")
    try:
        with pytest.raises(UserError, match=r"POST /rpc/login"), theatre.open() as stage:
            play(stage)
    finally:
        with psycopg.connect(gateway.database_url) as conn:
            conn.execute("update app.agents set is_active = true where role = 'ADMIN'")


@pytest.mark.skipif(not shutil.which("curl"), reason="this machine has no curl")
def test_the_lines_to_try_work_when_pasted(theatre: Theatre) -> None:
    with theatre.open() as stage:
        play(stage)
        closing.show(stage)
    lines = re.findall(r"^curl .*$", theatre.said, re.MULTILINE)
    assert len(lines) == 3
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


def test_every_token_that_is_printed_is_good(gateway: RunningGateway, theatre: Theatre) -> None:
    with theatre.open() as stage:
        play(stage)
        for role, token in closing.tokens_of(stage).items():
            assert stage.api.caller(token).row("me")["role"] == role


def test_amounts_and_days_as_indonesians_write_them() -> None:
    assert rupiah(1250000.0) == "Rp1.250.000"
    assert rupiah("950") == "Rp950"
    assert day("2027-01-07T10:00:00+00:00") == "7 Januari 2027"
