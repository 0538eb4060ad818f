"""A shadow session ends with the agent's right to it, and when the agent ends it."""

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.calls import call_rpc
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
from tests.support.rls_dataset import PASSWORD


def submission_code(conn: Connection, acting: Caller) -> str:
    """The code with which an order in this session is refused, "" if it succeeds."""
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
def test_session_closes_when_the_partner_leaves_the_agents_region(
    db: Connection, context: Context, change: str
) -> None:
    agent, partner = context.agents[0], context.partners[0]
    acting = shadow(db, agent, partner)
    db.execute(change.encode(), {"agent": agent.sub, "partner": partner.sub, **context.regions})
    assert refusal(db, agent, "start_shadow_session", partner_id=partner.sub) == "NOT_FOUND"
    assert submission_code(db, acting) == "SESSION_CLOSED"


def test_session_of_a_demoted_admin_is_closed(db: Connection, context: Context) -> None:
    acting = shadow(db, context.admin, context.partners[0])
    db.execute("update app.agents set role = 'SALESMAN' where id = %s", [context.admin.sub])
    assert submission_code(db, acting) == "SESSION_CLOSED"


def test_new_password_closes_the_agents_shadow_sessions(db: Connection, context: Context) -> None:
    agent = context.agents[0]
    db.execute(
        "update app.agents set password_hash = extensions.crypt(%s, extensions.gen_salt('bf', 4))"
        " where id = %s",
        [PASSWORD, agent.sub],
    )
    acting = shadow(db, agent, context.partners[0])
    response = call_rpc(db, agent, "change_password", current_password=PASSWORD, new_password="y" * 12)
    assert response.status == 200
    assert submission_code(db, acting) == "SESSION_CLOSED"


def test_end_shadow_session_closes_older_sessions_despite_a_concurrent_start(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as two:
        context = make_context(one)
        first = shadow(one, context.agents[0], context.partners[0])
        with one.transaction():
            one.execute("select 1")
            shadow(two, context.agents[0], context.partners[1])
            call(one, context.agents[0], "end_shadow_session")
        assert refusal(one, first, "me") == "SESSION_CLOSED"


def test_expired_session_is_not_closed_again(db: Connection, context: Context) -> None:
    shadow(db, context.agents[0], context.partners[0])
    db.execute(
        "update app.agent_sessions set started_at = now() - interval '2 days',"
        " expires_at = now() - interval '1 day'"
    )
    assert call(db, context.agents[0], "end_shadow_session") == 0
    assert value(db, "select count(*) from app.agent_sessions where ended_at is not null") == 0
