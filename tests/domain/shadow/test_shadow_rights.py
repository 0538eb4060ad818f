"""A shadow session lives no longer than the agent's right to it, and closes when it is told to."""

from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import (
    Caller,
    Connection,
    Context,
    call,
    items,
    make_context,
    refusal,
    shadow,
    value,
)
from tests.support.factories import answer

PASSWORD = "rahasia-sekali"


@pytest.fixture
def context(db: Connection) -> Context:
    return make_context(db)


def order(conn: Connection, acting: Caller) -> str:
    """The code by which an order of the agent's is refused."""
    return refusal(conn, acting, "submit_order", items=items(SKU_000=1), idempotency_key="late")


@pytest.mark.parametrize(
    "change",
    [
        "update app.agents set region_id = %(papua)s where id = %(agent)s",
        "update app.agents set region_id = null where id = %(agent)s",
        "update app.partners set region_id = %(papua)s where id = %(partner)s",
        "update app.regions set parent_region_id = null where id = %(jabar)s",
    ],
)
def test_an_agent_acts_no_longer_for_a_partner_who_is_not_of_his_region_any_more(
    db: Connection, context: Context, change: str
) -> None:
    agent, partner = context.agents[0], context.partners[0]
    acting = shadow(db, agent, partner)
    db.execute(change.encode(), {"agent": agent.sub, "partner": partner.sub, **context.regions})
    assert refusal(db, agent, "start_shadow_session", partner_id=partner.sub) == "NOT_FOUND"
    assert order(db, acting) == "SESSION_CLOSED"


def test_a_demoted_admin_acts_no_longer_for_partners_of_everywhere(db: Connection, context: Context) -> None:
    acting = shadow(db, context.admin, context.partners[0])
    db.execute("update app.agents set role = 'SALESMAN' where id = %s", [context.admin.sub])
    assert order(db, acting) == "SESSION_CLOSED"


def test_a_new_password_closes_the_agents_shadow_sessions_too(db: Connection, context: Context) -> None:
    agent = context.agents[0]
    db.execute(
        "update app.agents set password_hash = extensions.crypt(%s, extensions.gen_salt('bf', 4))"
        " where id = %s",
        [PASSWORD, agent.sub],
    )
    acting = shadow(db, agent, context.partners[0])
    told: Any = answer(db, agent, "change_password", current_password=PASSWORD, new_password="y" * 12)
    assert told.status == 200
    assert order(db, acting) == "SESSION_CLOSED"


def test_one_that_is_opened_while_all_are_being_closed_keeps_none_open(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as two:
        context = make_context(one)
        first = shadow(one, context.agents[0], context.partners[0])
        with one.transaction():
            one.execute("select 1")
            shadow(two, context.agents[0], context.partners[1])
            call(one, context.agents[0], "end_shadow_session")
        assert refusal(one, first, "me") == "SESSION_CLOSED"


def test_expired_sessions_are_not_closed_again(db: Connection, context: Context) -> None:
    shadow(db, context.agents[0], context.partners[0])
    db.execute(
        "update app.agent_sessions set started_at = now() - interval '2 days',"
        " expires_at = now() - interval '1 day'"
    )
    assert call(db, context.agents[0], "end_shadow_session") == 0
    assert value(db, "select count(*) from app.agent_sessions where ended_at is not null") == 0
