"""Who may come in at all: what the gateway asks before every request."""

import uuid
from typing import Any

import pytest

from tests.support.client import caller
from tests.support.context import Caller, Connection, Context, make_context, value
from tests.support.factories import insert, refused


@pytest.fixture
def context(db: Connection) -> Context:
    return make_context(db, partners=2, products=1)


def come_in(db: Connection, who: Caller, method: str = "GET", path: str = "/me") -> None:
    """What it takes is the guard; the block does nothing."""
    with caller(db, who.role, who.sub, method=method, path=path, **who.extra):
        pass


def signed_in(db: Connection, who: Caller) -> Caller:
    """With a session of his own."""
    session = db.execute(
        "insert into auth.sessions (subject_id, role, expires_at) values (%s, %s, now() + interval '1 day')"
        " returning id::text",
        [who.sub, who.role],
    ).fetchone()
    return Caller(who.role, who.sub, {"sid": session[0] if session else None})


def test_everybody_who_is_who_he_says_comes_in(db: Connection, context: Context) -> None:
    boss = Caller("superadmin", insert(db, "agents", email="b@hub.test", password_hash="x", full_name="B",
                                       role="SUPERADMIN"))  # fmt: skip
    people = [
        Caller("anon"),
        context.partners[0],
        context.agents[0],
        context.subdists[0],
        context.admin,
        boss,
    ]
    for who in [*people, context.erp, Caller("messenger", str(uuid.uuid4()))]:
        come_in(db, who)
    for who in people[1:]:
        come_in(db, signed_in(db, who))


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
def test_an_account_that_is_no_longer_so_is_refused_at_once(
    db: Connection, context: Context, who: str, change: str
) -> None:
    people = {"partner": context.partners[0], "agent": context.agents[0], "admin": context.admin,
              "subdist": context.subdists[0]}  # fmt: skip
    someone = signed_in(db, people[who])
    come_in(db, someone)
    db.execute(change.encode())
    with refused(db, "ACCOUNT_INACTIVE"):
        come_in(db, someone)


@pytest.mark.parametrize("change", ["revoked_at = now()", "expires_at = now()", "role = 'agent'"])
def test_a_session_that_is_over_or_of_another_role_is_refused(
    db: Connection, context: Context, change: str
) -> None:
    who = signed_in(db, context.partners[0])
    db.execute(f"update auth.sessions set {change}".encode())
    with refused(db, "SESSION_CLOSED"):
        come_in(db, who)


def test_a_session_of_somebody_else_is_refused(db: Connection, context: Context) -> None:
    theirs = signed_in(db, context.partners[1])
    with refused(db, "SESSION_CLOSED"):
        come_in(db, Caller("partner", context.partners[0].sub, theirs.extra))
    with refused(db, "SESSION_CLOSED"):
        come_in(db, Caller("partner", context.partners[0].sub, {"sid": str(uuid.uuid4())}))


@pytest.mark.parametrize(
    ("sub", "claims"),
    [
        (None, {}), ("", {}), ("7", {}), ("not-a-uuid", {}), ("00000000000000000000000000000000", {}),
        ("{mine} ", {}), ("{mine}", {"sid": "x"}), ("{mine}", {"act": {"sub": "x"}}), ("{mine}", {"sid": 7}),
    ],
)  # fmt: skip
def test_claims_that_name_nobody_are_no_claims(
    db: Connection, context: Context, sub: str | None, claims: dict[str, Any]
) -> None:
    given = None if sub is None else sub.format(mine=context.partners[0].sub)
    with refused(db, "UNAUTHENTICATED"):
        come_in(db, Caller("partner", given, claims))


def test_a_token_that_says_that_somebody_acts_needs_the_open_session_of_a_partner(
    db: Connection, context: Context
) -> None:
    agent, who = context.agents[0], context.partners[0]
    lies: list[Any] = [{"sub": agent.sub}, {}, None, []]
    for extra in [*({"act": lie} for lie in lies), {"act": lies[0], "sid": str(uuid.uuid4())}]:
        with refused(db, "SESSION_CLOSED"):
            come_in(db, Caller("partner", who.sub, extra))
    session = insert(db, "agent_sessions", agent_id=agent.sub, impersonated_partner_id=who.sub,
                     expires_at="2999-01-01")  # fmt: skip
    good = {"act": {"sub": agent.sub}, "sid": session}
    come_in(db, Caller("partner", who.sub, good))
    for liar in (Caller("partner", context.partners[1].sub, good), Caller("agent", agent.sub, good)):
        with refused(db, "SESSION_CLOSED"):
            come_in(db, liar)
    # an ordinary session is no shadow session, nor the other way round
    with refused(db, "SESSION_CLOSED"):
        come_in(db, Caller("partner", who.sub, {"sid": session}))
    own = signed_in(db, who).extra
    with refused(db, "SESSION_CLOSED"):
        come_in(db, Caller("partner", who.sub, own | {"act": {"sub": agent.sub}}))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_lists_are_written_by_calls_alone(db: Connection, context: Context, method: str) -> None:
    with refused(db, "NOT_ALLOWED"):
        come_in(db, context.partners[0], method, "/orders")
    with refused(db, "UNAUTHENTICATED"):
        come_in(db, Caller("anon"), method, "/orders")
    come_in(db, context.partners[0], method, "/rpc/submit_order")
    come_in(db, context.partners[0], "GET", "/orders")


def test_the_guard_writes_nothing(db: Connection, context: Context) -> None:
    who = signed_in(db, context.partners[0])
    db.execute("set transaction read only")
    come_in(db, who)
    assert (
        value(db, "select provolatile::text from pg_proc where oid = 'auth.request_guard()'::regprocedure")
        == "s"
    )
