"""What the cache asks the database: documents with their state, and whether callers may read them."""

import json
import uuid
from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support import test_cluster
from tests.support.calls import refused
from tests.support.concurrency import connect
from tests.support.context import (
    Caller,
    Connection,
    Context,
    RefusedError,
    call,
    make_context,
    set_config,
    shadow,
    value,
)
from tests.support.factories import make_product, set_price
from tests.support.queries import run_job

MARK = json.dumps({"stored": True})


def state(conn: Connection, *callers: Caller) -> dict[str, Any]:
    """What cache_state answers for these callers."""
    claims = json.dumps([json.loads(who.claims) for who in callers])
    found: dict[str, Any] = value(conn, "select app.cache_state(%s)", claims)
    return found


def document(conn: Connection, price_list: str = "SILVER") -> dict[str, Any]:
    found: dict[str, Any] = value(conn, "select app.cache_catalogue(%s)", price_list)
    return found


def price(conn: Connection, price_list: str, sku: str = "SKU-000") -> float:
    products = document(conn, price_list)["body"]["products"]
    return float(next(p["price"] for p in products if p["sku"] == sku))


def pass_time(conn: Connection, seconds: float) -> None:
    """Move all periods of prices into the past, without the triggers that a write fires."""
    conn.execute("set local session_replication_role = replica")
    conn.execute(
        "update app.tier_prices set effective_from = effective_from - %(age)s * interval '1 second',"
        " effective_until = effective_until - %(age)s * interval '1 second'",
        {"age": seconds},
    )
    conn.execute("set local session_replication_role = origin")


def test_a_document_holds_the_price_list_in_force(db: Connection, context: Context) -> None:
    set_price(db, context, 70_000, discount=(12, 65_000))
    set_price(db, context, 60_000, "now() - interval '2 hours'", "now() - interval '1 hour'", tier="GOLD")
    set_price(db, context, 50_000, "now() + interval '1 hour'", tier="PLATINUM")
    lists = ("SILVER", "GOLD", "PLATINUM", "BASE")
    assert [price(db, each) for each in lists] == [70_000, 100_000, 100_000, 100_000]
    product = document(db)["body"]["products"][0]
    assert (product["min_qty_discount"], product["discount_price"]) == (12, 65_000)
    assert set(document(db)["body"]) == {"price_list", "version", "brands", "categories", "products"}


def test_a_document_is_empty_without_rows(db: Connection) -> None:
    body = document(db)["body"]
    assert (body["brands"], body["categories"], body["products"]) == ([], [], [])


def test_products_for_past_buyers_only_stay_out(db: Connection, context: Context) -> None:
    db.execute("update app.products set is_active = false where sku = 'SKU-000'")
    assert "SKU-000" not in [p["sku"] for p in document(db)["body"]["products"]]
    stock = value(db, "select app.cache_stock()")["body"]
    assert context.products["SKU-000"] not in stock
    assert context.products["SKU-001"] in stock


def test_a_price_that_begins_or_ends_changes_the_state_without_a_write(
    db: Connection, context: Context
) -> None:
    set_price(db, context, 70_000, "now() + interval '1 hour'", "now() + interval '2 hours'")
    seen = []
    for hours in (0, 1.25, 1.5):
        pass_time(db, hours * 3600)
        found = document(db)
        assert found["state"] == state(db)["catalogue"]["state"]
        seen.append((found["version"], found["state"], price(db, "SILVER"), found["expires_at"] is not None))
    assert len({version for version, *_ in seen}) == 1
    assert len({each for _, each, *_ in seen}) == 3
    assert [each[2:] for each in seen] == [(100_000, True), (70_000, True), (100_000, False)]


def test_a_state_expires_when_the_next_price_begins_or_ends(db: Connection, context: Context) -> None:
    assert state(db)["catalogue"]["expires_at"] is None
    for since, until, next_in in [
        ("5 hours", "9 hours", "5 hours"),
        ("-1 hour", "4 hours", "4 hours"),
        ("3 hours", "4 hours", "3 hours"),
    ]:
        tier = {"5 hours": "SILVER", "-1 hour": "GOLD", "3 hours": "PLATINUM"}[since]
        bounds = (f"now() + interval '{since}'", f"now() + interval '{until}'")
        set_price(db, context, 70_000, *bounds, tier=tier)
        found = state(db)["catalogue"]["expires_at"]
        assert value(db, "select %s::timestamptz = now() + %s::interval", found, next_in)
        assert document(db)["expires_at"] == found


def test_a_stored_document_is_served_exactly_while_its_state_holds(db: Connection, context: Context) -> None:
    set_price(db, context, 70_000, "now() + interval '1 hour'")
    assert value(db, "select jobs.store_catalogue()") == 4
    assert value(db, "select jobs.store_catalogue()") == 0
    assert price(db, "SILVER") == 100_000
    db.execute("update app.catalogue_bodies set body = %s", [MARK])
    assert document(db)["body"] == {"stored": True}
    pass_time(db, 3600)
    assert price(db, "SILVER") == 70_000
    assert value(db, "select jobs.store_catalogue()") == 4
    db.execute("update app.catalogue_bodies set body = %s", [MARK])
    assert document(db)["body"] == {"stored": True}
    db.execute("set constraints all immediate")
    db.execute("update app.products set name = 'Baru' where sku = 'SKU-000'")
    assert document(db)["body"]["products"][0]["name"] == "Baru"


def test_the_job_stores_what_a_commit_has_changed(clone: Clone) -> None:
    with connect(clone()) as conn:
        make_context(conn)
        run_job(conn, "catalogue-store")
        conn.execute("update app.products set base_price = 5 where sku = 'SKU-000'")
        assert price(conn, "BASE") == 5
        run_job(conn, "catalogue-store")
        conn.execute("update app.catalogue_bodies set body = %s", [MARK])
        assert document(conn, "BASE")["body"] == {"stored": True}


def test_the_etag_names_price_list_and_state(db: Connection) -> None:
    found = document(db, "GOLD")
    assert found["etag"] == f'"GOLD-{found["state"]}"'
    assert found["state"].startswith(f"{found['version']}-")
    configs = value(db, "select app.cache_configs()")
    assert configs["etag"] == f'"{configs["state"]}"' == f'"{configs["version"]}"'
    assert (found["version"], configs["version"]) == (
        state(db)["catalogue"]["version"],
        state(db)["configs"]["version"],
    )


@pytest.mark.parametrize("price_list", ["", "silver", "ADMIN", None])
def test_an_unknown_price_list_is_refused(db: Connection, price_list: str | None) -> None:
    with refused(db, "INVALID_ARGUMENT"):
        document(db, price_list)  # type: ignore[arg-type]


def test_configs_are_those_that_frontends_read(db: Connection, context: Context) -> None:
    set_config(db, context, "order.max_lines", 77)
    body = value(db, "select app.cache_configs()")["body"]
    assert body["order.max_lines"] == 77
    assert list(body) == value(db, "select app.frontend_config_keys()")
    known = {key for (key,) in db.execute("select config_key from app.config_definitions()")}
    assert set(body) <= known


def test_stock_states_what_can_be_ordered_and_for_how_long_it_is_served(
    db: Connection, context: Context
) -> None:
    make_product(db, "NEW", stock=None)
    set_config(db, context, "cache.stock_seconds", 9)
    set_config(db, context, "erp.kind", "csv")
    found = value(db, "select app.cache_stock()")
    assert found["stock_seconds"] == state(db)["stock_seconds"] == 9
    assert value(db, "select %s::timestamptz = now()", found["read_at"])
    assert found["body"][context.products["SKU-000"]] == {"display_stock": 1000, "stock_stale": False}
    new = value(db, "select id::text from app.products where sku = 'NEW'")
    assert found["body"][new] == {"display_stock": 0, "stock_stale": True}


def test_callers_are_answered_in_order_with_their_price_list_or_refusal(
    db: Connection, context: Context
) -> None:
    silver, gold, _ = context.partners
    acting = shadow(db, context.agents[0], gold)
    callers = [gold, context.admin, silver, Caller("anon"), acting, context.subdists[0], context.erp]
    answers = state(db, *callers)["callers"]
    lists = [answer.get("price_list") or answer["code"] for answer in answers]
    assert lists == ["GOLD", "BASE", "SILVER", "UNAUTHENTICATED", "GOLD", "BASE", "NOT_ALLOWED"]
    assert [answers[3]["status"], answers[6]["status"]] == [401, 403]
    assert set(answers[3]) == {"status", "code", "message", "details", "hint"}


def test_a_changed_tier_is_the_next_answer(db: Connection, context: Context) -> None:
    partner = context.partners[0]
    assert state(db, partner)["callers"] == [{"price_list": "SILVER"}]
    db.execute("update app.partners set tier = 'PLATINUM' where id = %s", [partner.sub])
    assert state(db, partner)["callers"] == [{"price_list": "PLATINUM"}]


def refusal_of(db: Connection, who: Caller) -> RefusedError | None:
    """How the request guard refuses a caller."""
    try:
        call(db, who, "me")
    except RefusedError as refusal:
        return refusal
    return None


def forged(db: Connection, context: Context) -> list[Caller]:
    """Callers that the guard lets pass, and callers that it must not."""
    partner, agent, admin = context.partners[0], context.agents[0], context.admin
    closed_partner, deleted_partner = context.partners[1], context.partners[2]
    open_shadow = shadow(db, agent, partner)
    ended_shadow = shadow(db, context.agents[1], partner)
    call(db, ended_shadow, "logout")
    session = value(
        db,
        "insert into auth.sessions (subject_id, role, expires_at) values (%s, 'partner', now() + '1 hour')"
        " returning id::text",
        partner.sub,
    )
    ended = value(
        db,
        "insert into auth.sessions (subject_id, role, expires_at) values (%s, 'partner', now() + '1 hour')"
        " returning id::text",
        partner.sub,
    )
    db.execute("update auth.sessions set revoked_at = now() where id = %s", [ended])
    db.execute("update app.partners set is_active = false where id = %s", [closed_partner.sub])
    db.execute("update app.partners set deleted_at = now() where id = %s", [deleted_partner.sub])
    act = open_shadow.extra
    return [
        partner, agent, admin, context.subdists[0], context.erp, closed_partner, deleted_partner,
        open_shadow, ended_shadow,
        Caller("partner", partner.sub, {"sid": session}),
        Caller("partner", partner.sub, {"sid": ended}),
        Caller("partner", partner.sub, {"sid": str(uuid.uuid4())}),
        Caller("partner", closed_partner.sub, {"sid": session}),
        Caller("partner", partner.sub, {"sid": "x"}),
        Caller("partner", partner.sub, act | {"sid": session}),
        Caller("partner", closed_partner.sub, act),
        Caller("partner", partner.sub, {"act": {"sub": admin.sub}, "sid": act["sid"]}),
        Caller("partner", partner.sub, {"act": {"sub": "x"}, "sid": act["sid"]}),
        Caller("partner", partner.sub, {"act": "x"}),
        Caller("partner", partner.sub, {"act": None}),
        Caller("admin", admin.sub, act),
        Caller("admin", partner.sub), Caller("superadmin", admin.sub), Caller("agent", admin.sub),
        Caller("partner", admin.sub), Caller("subdist", partner.sub), Caller("partner"),
        Caller("partner", "x"), Caller("partner", str(uuid.uuid4())),
        Caller("partner", "00000000-0000-0000-0000-000000000000"),
    ]  # fmt: skip


def test_the_cache_refuses_exactly_whom_the_request_guard_refuses(db: Connection, context: Context) -> None:
    callers = forged(db, context)
    answers = state(db, *callers)["callers"]
    refusals = [refusal_of(db, who) for who in callers]
    for who, answer, refusal in zip(callers, answers, refusals, strict=True):
        if refusal:
            assert {"code", "message", "details", "hint", "status"} == set(answer), who
            assert (answer["status"], answer["code"]) == (refusal.status, refusal.code), who
            assert (answer["details"], answer["hint"]) == (refusal.details, refusal.hint), who
        else:
            assert "price_list" in answer or answer["code"] == "NOT_ALLOWED", who
    assert 15 < sum(map(bool, refusals)) < len(callers) - 5


@pytest.mark.parametrize(
    "role", ["hub_owner", "postgres", "authenticator", "cache", "hub_scheduler", "", "PARTNER", "partner "]
)
def test_a_claimed_role_that_is_no_caller_sees_nothing(db: Connection, context: Context, role: str) -> None:
    (answer,) = state(db, Caller(role, context.partners[0].sub))["callers"]
    assert answer["status"] in (401, 403)


@pytest.mark.parametrize(
    "claims",
    ["{}", '{"role": null}', '{"role": 7, "sub": 7}', '{"role": ["partner"], "sub": {}}', '{"sub": "x"}'],
)
def test_claims_without_a_role_are_anonymous_or_refused(db: Connection, claims: str) -> None:
    (answer,) = value(db, "select app.cache_state(%s)", f"[{claims}]")["callers"]
    assert answer["status"] == 401


@pytest.mark.parametrize("callers", ["null", "{}", "7", '"x"', "[7]", "[[]]", "[null]", '[{}, "x"]'])
def test_callers_must_be_a_list_of_claims(db: Connection, callers: str) -> None:
    with refused(db, "INVALID_ARGUMENT"):
        db.execute("select app.cache_state(%s)", [callers])


def test_a_thousand_callers_are_answered_at_once_and_no_more(db: Connection, context: Context) -> None:
    assert len(state(db, *[context.partners[0]] * 1000)["callers"]) == 1000
    with refused(db, "INVALID_ARGUMENT"):
        state(db, *[context.partners[0]] * 1001)


def test_the_login_of_the_cache_executes_its_functions_and_nothing_else(clone: Clone) -> None:
    url = clone()
    with connect(url) as conn:
        make_context(conn)
    own = psycopg.conninfo.make_conninfo(url, user="cache", password=test_cluster.CACHE_PASSWORD)
    with psycopg.connect(own, autocommit=True) as conn:
        for query in (
            "select app.cache_state('[{}]')",
            "select app.cache_catalogue('GOLD')",
            "select app.cache_configs()",
            "select app.cache_stock()",
        ):
            assert value(conn, query)
        for forbidden in (
            "select * from app.products",
            "select * from api.products",
            "select * from app.cache_versions",
            "select * from app.catalogue_documents",
            "select * from auth.jwt_secret",
            "select app.catalogue_body('GOLD', '')",
            "select app.cache_caller('{}')",
            "select jobs.store_catalogue()",
            "select auth.request_guard()",
            "select api.catalogue()",
            "update app.cache_versions set version = 1",
            "insert into app.cache_changes values (pg_current_xact_id(), 'catalogue')",
            "set role partner",
            "set role hub_owner",
            "create table app.x ()",
            "create table public.x ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(forbidden.encode())


@pytest.mark.parametrize("role", ["partner", "admin", "superadmin"])
def test_no_caller_keeps_a_change_from_raising_the_version(
    db: Connection, context: Context, role: str
) -> None:
    """Neither by a setting nor by the tables of the versions."""
    for statement in (
        "update app.cache_versions set version = 1",
        "delete from app.cache_changes",
        "insert into app.cache_changes values (pg_current_xact_id(), 'catalogue')",
        "alter table app.products disable trigger all",
        "set session_replication_role = replica",
    ):
        db.execute("select set_config('role', %s, true)", [role])
        with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
            db.execute(statement.encode())
        db.execute("reset role")
