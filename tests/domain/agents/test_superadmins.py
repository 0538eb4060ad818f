"""Agents are managed by superadmins, of whom one stays."""

import psycopg
import pytest

from tests.support.calls import refused, write
from tests.support.context import Caller, Connection, Context, shadow, value
from tests.support.factories import make_agent

LOSSES = ["is_active = false", "role = 'ADMIN'", "role = 'SALESMAN', is_active = false"]


@pytest.fixture
def superadmin(db: Connection) -> Caller:
    """The only superadmin."""
    db.execute("update app.agents set role = 'ADMIN' where role = 'SUPERADMIN' and not is_active")
    return Caller("superadmin", make_agent(db, None, role="SUPERADMIN").sub)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_last_active_superadmin_stays(
    db: Connection, context: Context, superadmin: Caller, loss: str
) -> None:
    make_agent(db, None, role="SUPERADMIN", is_active=False)  # does not count
    with refused(db, "LAST_SUPERADMIN"):
        write(db, superadmin, f"update api.agents set {loss} where id = %s", superadmin.sub)
    with refused(db, "LAST_SUPERADMIN"):
        db.execute("delete from app.agents where id = %s", [superadmin.sub])


def test_one_statement_cannot_remove_all_superadmins(db: Connection, superadmin: Caller) -> None:
    for _ in range(3):
        make_agent(db, None, role="SUPERADMIN")
    with refused(db, "LAST_SUPERADMIN"):
        write(db, superadmin, "update api.agents set is_active = false where role = 'SUPERADMIN'")
    assert write(db, superadmin, "update api.agents set role = 'ADMIN' where id <> %s", superadmin.sub) >= 3


def test_one_statement_may_replace_the_only_superadmin(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    changed = write(
        db,
        superadmin,
        "update api.agents set role ="
        " (case when id = %s then 'SUPERADMIN' else 'ADMIN' end)::app.agent_role_enum where id in (%s, %s)",
        context.admin.sub,
        context.admin.sub,
        superadmin.sub,
    )
    assert changed == 2


def test_agent_twice_in_one_body_is_a_conflict(db: Connection, superadmin: Caller) -> None:
    row = "('baru@hub.test', 'Baru', 'SALESMAN')"
    with pytest.raises(psycopg.errors.UniqueViolation, match="two rows of agents with the same email"):
        write(
            db,
            superadmin,
            f"insert into api.agents (email, full_name, role) values {row}, {row}"
            " on conflict (email) do update set full_name = excluded.full_name",
        )


def test_admins_do_not_write_agents(db: Connection, context: Context) -> None:
    for statement in (
        "update api.agents set role = 'SUPERADMIN'",
        "insert into api.agents (email, full_name) values ('x@hub.test', 'X')",
        "delete from api.agents",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
            write(db, context.admin, statement)


@pytest.mark.parametrize("change", ["is_active = false", "role = 'ADMIN'"])
def test_deactivating_an_agent_closes_their_sessions(
    db: Connection, context: Context, superadmin: Caller, change: str
) -> None:
    agent = context.agents[0]
    session = value(
        db,
        "insert into auth.sessions (subject_id, role, expires_at)"
        " values (%s, 'agent', now() + interval '1 day') returning id",
        agent.sub,
    )
    shadow(db, agent, context.partners[0])
    write(db, superadmin, "update api.agents set full_name = 'Citra Baru' where id = %s", agent.sub)
    assert value(db, "select revoked_at is null from auth.sessions where id = %s", session)
    write(db, superadmin, f"update api.agents set {change} where id = %s", agent.sub)
    assert value(db, "select revoked_at is not null from auth.sessions where id = %s", session)
    assert value(db, "select ended_at is not null from app.agent_sessions where agent_id = %s", agent.sub)
