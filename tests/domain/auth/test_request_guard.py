"""The check that the gateway runs before every request."""

import uuid
from typing import Any

import psycopg
import pytest

from tests.support.calls import refused
from tests.support.client import caller
from tests.support.context import Caller, Connection, Context, value
from tests.support.factories import insert, make_agent

pytestmark = pytest.mark.context(partners=2, products=1)


def pass_guard(db: Connection, who: Caller, method: str = "GET", path: str = "/me") -> None:
    """Run the guard as this caller."""
    with caller(db, who.role, who.sub, method=method, path=path, **who.extra):
        pass


def with_session(db: Connection, who: Caller) -> Caller:
    """The caller with a new session."""
    session = db.execute(
        "insert into auth.sessions (subject_id, role, expires_at) values (%s, %s, now() + interval '1 day')"
        " returning id::text",
        [who.sub, who.role],
    ).fetchone()
    return Caller(who.role, who.sub, {"sid": session[0] if session else None})


def test_guard_admits_every_role_with_and_without_a_session(db: Connection, context: Context) -> None:
    superadmin = Caller("superadmin", make_agent(db, None, role="SUPERADMIN").sub)
    callers = [
        Caller("anon"),
        context.partners[0],
        context.agents[0],
        context.subdists[0],
        context.admin,
        superadmin,
    ]
    for who in [*callers, context.erp, Caller("messenger", str(uuid.uuid4()))]:
        pass_guard(db, who)
    for who in callers[1:]:
        pass_guard(db, with_session(db, who))


@pytest.mark.parametrize(
    ("who", "change"),
    [
        ("partner", "update app.partners set is_active = false"),
        ("partner", "update app.partners set deleted_at = now()"),
        ("agent", "update app.agents set is_active = false"),
        ("agent", "update app.agents set role = 'ADMIN'"),
        ("admin", "update app.agents set is_active = false"),
        ("admin", "update app.agents set role = 'SALESMAN'"),
        ("admin", "update app.agents set role = 'SUPERADMIN'"),
        ("subdist", "update app.sub_distributors set status = 'SUSPENDED'"),
    ],
)
def test_guard_refuses_an_account_that_was_deactivated_or_changed_role(
    db: Connection, context: Context, who: str, change: str
) -> None:
    callers = {"partner": context.partners[0], "agent": context.agents[0], "admin": context.admin,
              "subdist": context.subdists[0]}  # fmt: skip
    caller_ = with_session(db, callers[who])
    pass_guard(db, caller_)
    db.execute(change.encode())
    with refused(db, "ACCOUNT_INACTIVE"):
        pass_guard(db, caller_)


@pytest.mark.parametrize("change", ["revoked_at = now()", "expires_at = now()", "role = 'agent'"])
def test_guard_refuses_a_closed_session_or_one_of_another_role(
    db: Connection, context: Context, change: str
) -> None:
    who = with_session(db, context.partners[0])
    db.execute(f"update auth.sessions set {change}".encode())
    with refused(db, "SESSION_CLOSED"):
        pass_guard(db, who)


def test_guard_refuses_the_session_of_another_account(db: Connection, context: Context) -> None:
    theirs = with_session(db, context.partners[1])
    with refused(db, "SESSION_CLOSED"):
        pass_guard(db, Caller("partner", context.partners[0].sub, theirs.extra))
    with refused(db, "SESSION_CLOSED"):
        pass_guard(db, Caller("partner", context.partners[0].sub, {"sid": str(uuid.uuid4())}))


@pytest.mark.parametrize(
    ("sub", "claims"),
    [
        (None, {}), ("", {}), ("7", {}), ("not-a-uuid", {}), ("00000000000000000000000000000000", {}),
        ("{mine} ", {}), ("{mine}", {"sid": "x"}), ("{mine}", {"act": {"sub": "x"}}), ("{mine}", {"sid": 7}),
        ("g0000000-0000-4000-8000-000000000000", {}), ("00000000-0000-4000-80000-00000000000", {}),
        ("{{00000000-0000-4000-8000-00000000000}}", {}), ("-0000000-0000-4000-8000-000000000000", {}),
    ],
)  # fmt: skip
def test_guard_refuses_malformed_claims(
    db: Connection, context: Context, sub: str | None, claims: dict[str, Any]
) -> None:
    subject = None if sub is None else sub.format(mine=context.partners[0].sub)
    with refused(db, "UNAUTHENTICATED"):
        pass_guard(db, Caller("partner", subject, claims))


def test_guard_refuses_an_acting_claim_without_an_open_shadow_session(
    db: Connection, context: Context
) -> None:
    agent, who = context.agents[0], context.partners[0]
    acting: list[Any] = [{"sub": agent.sub}, {}, None, []]
    for extra in [*({"act": act} for act in acting), {"act": acting[0], "sid": str(uuid.uuid4())}]:
        with refused(db, "SESSION_CLOSED"):
            pass_guard(db, Caller("partner", who.sub, extra))
    session = insert(db, "agent_sessions", agent_id=agent.sub, impersonated_partner_id=who.sub,
                     expires_at="2999-01-01")  # fmt: skip
    extra_claims = {"act": {"sub": agent.sub}, "sid": session}
    pass_guard(db, Caller("partner", who.sub, extra_claims))
    for other in (
        Caller("partner", context.partners[1].sub, extra_claims),
        Caller("agent", agent.sub, extra_claims),
    ):
        with refused(db, "SESSION_CLOSED"):
            pass_guard(db, other)
    # an ordinary session is not a shadow session, and vice versa
    with refused(db, "SESSION_CLOSED"):
        pass_guard(db, Caller("partner", who.sub, {"sid": session}))
    own = with_session(db, who).extra
    with refused(db, "SESSION_CLOSED"):
        pass_guard(db, Caller("partner", who.sub, own | {"act": {"sub": agent.sub}}))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_guard_refuses_writes_to_views(db: Connection, context: Context, method: str) -> None:
    with refused(db, "NOT_ALLOWED"):
        pass_guard(db, context.partners[0], method, "/orders")
    with refused(db, "UNAUTHENTICATED"):
        pass_guard(db, Caller("anon"), method, "/orders")
    pass_guard(db, context.partners[0], method, "/rpc/submit_order")
    pass_guard(db, context.partners[0], "GET", "/orders")


def test_guard_admits_an_id_in_upper_case(db: Connection, context: Context) -> None:
    who = context.partners[0]
    pass_guard(db, Caller("partner", str(who.sub).upper()))


def test_guard_keeps_its_query_plans(db: Connection) -> None:
    """An SQL function with a query is planned at each request, a PL/pgSQL function once a session."""
    planned = db.execute(
        "select p.oid::regprocedure::text from pg_proc as p join pg_language as l on l.oid = p.prolang"
        " where l.lanname = 'sql' and p.prosrc ~* '\\mfrom\\M' and exists ("
        "   select from pg_proc as g where g.prosrc ~ ('\\m' || p.pronamespace::regnamespace || '\\.'"
        "     || p.proname || '\\(') and g.oid in ('auth.request_guard()'::regprocedure,"
        "     'auth.subject_is_active(uuid,text)'::regprocedure,"
        "     'auth.may_act_for(uuid,uuid)'::regprocedure))"
    ).fetchall()
    assert planned == []


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        ("GET", "/orders", "force_custom_plan"),
        ("GET", "/products", "auto"),
        ("POST", "/rpc/submit_order", "auto"),
    ],
)
def test_guard_plans_each_list_of_orders(
    db: Connection, context: Context, method: str, path: str, mode: str
) -> None:
    """A generic plan reads the history of the largest partner to find their open orders."""
    who = context.partners[0]
    with db.transaction(force_rollback=True):
        for name, setting in (
            ("request.jwt.claims", who.claims),
            ("request.method", method),
            ("request.path", path),
            ("role", who.role),
        ):
            db.execute("select set_config(%s, %s, true)", [name, setting])
        db.execute("select auth.request_guard()")
        assert value(db, "select current_setting('plan_cache_mode')") == mode


def test_guard_is_stable_and_writes_nothing(db: Connection, context: Context) -> None:
    who = with_session(db, context.partners[0])
    db.execute("set transaction read only")
    pass_guard(db, who)
    assert (
        value(db, "select provolatile::text from pg_proc where oid = 'auth.request_guard()'::regprocedure")
        == "s"
    )


def test_reports_guard_refuses_what_could_write_and_whom_the_request_guard_refuses(
    db: Connection, context: Context
) -> None:
    """The gateway for reports runs it before each request."""
    who = context.partners[0]
    guard = "select auth.reports_guard()"
    with caller(db, who.role, who.sub, guard=False):
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="changes nothing"), db.transaction():
            db.execute(guard)
        with db.transaction():
            db.execute("set transaction read only")
            db.execute(guard)
    db.execute("update app.partners set is_active = false where id = %s", [who.sub])
    with refused(db, "ACCOUNT_INACTIVE"), caller(db, who.role, who.sub, guard=False):
        db.execute("set transaction read only")
        db.execute(guard)
