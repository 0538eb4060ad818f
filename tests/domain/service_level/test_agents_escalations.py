"""Agents see and acknowledge the escalations of their regions and of the regions below."""

import pytest

from tests.support.client import caller
from tests.support.context import Caller, Connection, Context, call, items, refusal, submit, value
from tests.support.factories import make_agent
from tests.support.service_level import sweep, waiting_order

SEEN = "select count(*) from api.sla_escalation_logs"


@pytest.fixture
def log(db: Connection, context: Context) -> str:
    """An escalation to headquarters of an order of Bandung."""
    waiting_order(db, context, 25)
    sweep(db)
    hq = "select id from app.sla_escalation_logs where escalation_level = 'HQ_INTERVENTION' limit 1"
    return str(value(db, hq))


def seen(db: Connection, agent: Caller) -> int:
    with caller(db, "agent", agent.sub):
        return int(value(db, SEEN))


def test_agent_sees_all_levels_of_their_region_and_of_regions_below(
    db: Connection, context: Context, log: str
) -> None:
    every = value(db, "select count(*) from app.sla_escalation_logs")
    assert every >= 3
    for region, count in (("id", every), ("jabar", every), ("bandung", every), ("papua", 0)):
        assert seen(db, make_agent(db, context.regions[region])) == count, region
    assert seen(db, make_agent(db, None)) == 0


def test_agent_acknowledges_an_escalation_of_their_region_once(
    db: Connection, context: Context, log: str
) -> None:
    agent = make_agent(db, context.regions["jabar"])
    call(db, agent, "acknowledge_escalation", escalation_id=log)
    row = "select acknowledged_by::text from app.sla_escalation_logs where id = %s"
    assert value(db, row, log) == agent.sub
    assert refusal(db, agent, "acknowledge_escalation", escalation_id=log) == "ALREADY_ACKNOWLEDGED"
    assert refusal(db, context.admin, "acknowledge_escalation", escalation_id=log) == "ALREADY_ACKNOWLEDGED"


@pytest.mark.parametrize("region", ["papua", None])
def test_escalation_of_another_region_is_unknown_to_an_agent(
    db: Connection, context: Context, log: str, region: str | None
) -> None:
    agent = make_agent(db, region and context.regions[region])
    assert refusal(db, agent, "acknowledge_escalation", escalation_id=log) == "NOT_FOUND"
    assert value(db, "select count(acknowledged_at) from app.sla_escalation_logs") == 0


def test_escalations_follow_the_partner_to_another_region_and_hide_with_them(
    db: Connection, context: Context, log: str
) -> None:
    west, east = (make_agent(db, context.regions[name]) for name in ("bandung", "papua"))
    who = context.partners[0].sub
    db.execute("update app.partners set region_id = %s where id = %s", [context.regions["papua"], who])
    assert (seen(db, west), seen(db, east) > 0) == (0, True)
    for (order,) in db.execute("select id::text from app.orders where partner_id = %s", [who]).fetchall():
        call(db, context.admin, "reject_order", order_id=order, reason="toko tutup")
    call(db, context.admin, "delete_partner", partner_id=who, reason="toko tutup")
    assert (seen(db, west), seen(db, east)) == (0, 0)


def test_escalation_of_a_partner_without_a_region_is_for_headquarters_only(
    db: Connection, context: Context
) -> None:
    db.execute("update app.partners set region_id = null where id = %s", [context.partners[0].sub])
    late = submit(db, context.partners[0], items(SKU_000=1))
    db.execute(
        "insert into app.sla_escalation_logs"
        " (order_id, escalation_level, notified_to, notified_type, clock_started_at, due_at)"
        " values (%s, 'HQ_INTERVENTION', %s, 'ADMIN', now(), now())",
        [late["id"], late["id"]],
    )
    assert value(db, "select count(region_id) from app.sla_escalation_logs") == 0
    assert seen(db, context.agents[0]) == 0
    log = str(value(db, "select id from app.sla_escalation_logs limit 1"))
    assert refusal(db, context.agents[0], "acknowledge_escalation", escalation_id=log) == "NOT_FOUND"
    call(db, context.admin, "acknowledge_escalation", escalation_id=log)
