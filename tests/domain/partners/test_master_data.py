"""What headquarters writes about partners and sub-distributors, and what follows from it."""

from datetime import datetime
from typing import Any

import psycopg
import pytest

from tests.support.calls import refused, write
from tests.support.context import (
    Caller,
    Connection,
    Context,
    call,
    grant_points,
    items,
    other_subdist,
    routed_subdist,
    shadow,
    submit,
    value,
)


def open_session(db: Connection, who: Caller) -> Any:
    return value(
        db,
        "insert into auth.sessions (subject_id, role, expires_at)"
        " values (%s, %s, now() + interval '1 day') returning id",
        who.sub,
        who.role,
    )


def is_closed(db: Connection, session: Any) -> bool:
    return bool(value(db, "select revoked_at is not null from auth.sessions where id = %s", session))


def test_a_new_partner_has_an_unusable_password(db: Connection, context: Context) -> None:
    statement = "insert into api.partners (business_name, email) values ('Salon Baru', 'baru@hub.test')"
    write(db, context.admin, statement)
    assert value(db, "select password_hash from app.partners where email = 'baru@hub.test'") == "!"
    for password in ("!", ""):
        assert not value(db, "select auth.password_matches(%s, '!')", password)


def test_deactivating_a_partner_closes_their_sessions_and_those_for_them(
    db: Connection, context: Context
) -> None:
    partner, other = context.partners[:2]
    session, kept = open_session(db, partner), open_session(db, other)
    acting = shadow(db, context.agents[0], partner)
    write(db, context.admin, "update api.partners set is_active = false where id = %s", partner.sub)
    assert (is_closed(db, session), is_closed(db, kept)) == (True, False)
    write(db, context.admin, "update api.partners set is_active = true where id = %s", partner.sub)
    with refused(db, "SESSION_CLOSED"):
        call(db, acting, "quote_order", items=items(SKU_000=1))


def test_suspending_a_subdist_hands_over_their_orders_and_closes_their_sessions(
    db: Connection, context: Context
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    routed, other = routed_subdist(db, order), other_subdist(db, context, order)
    session = open_session(db, routed)
    write(db, context.admin, "update api.sub_distributors set status = 'SUSPENDED' where id = %s", routed.sub)
    assert routed_subdist(db, order) == other
    assert is_closed(db, session)


@pytest.mark.parametrize(
    "column", ["credit_used", "point_balance", "password_hash", "deleted_at", "updated_at", "id"]
)
def test_derived_columns_of_partners_are_written_by_no_one(
    db: Connection, context: Context, column: str
) -> None:
    table = "app" if column in ("password_hash", "deleted_at") else "api"
    with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
        write(db, context.admin, f"update {table}.partners set {column} = null")


def test_a_deleted_partner_is_not_written(db: Connection, context: Context) -> None:
    partner = context.partners[0].sub
    db.execute("update app.partners set deleted_at = now() where id = %s", [partner])
    assert write(db, context.admin, "update api.partners set tier = 'GOLD' where id = %s", partner) == 0


def test_only_columns_of_the_view_touch_a_partner(db: Connection, context: Context) -> None:
    partner = context.partners[0]

    def updated_at() -> datetime:
        at: datetime = value(db, "select updated_at from app.partners where id = %s", partner.sub)
        return at

    db.execute("alter table app.partners disable trigger _900_touch")
    db.execute("update app.partners set updated_at = '2001-01-01'")
    db.execute("alter table app.partners enable trigger _900_touch")
    before = updated_at()
    submit(db, partner, items(SKU_000=1))
    grant_points(db, context, partner, 5)
    db.execute("update app.partners set password_hash = 'x' where id = %s", [partner.sub])
    assert updated_at() == before
    write(db, context.admin, "update api.partners set credit_limit = credit_limit where id = %s", partner.sub)
    assert updated_at() > before
