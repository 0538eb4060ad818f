"""Forged claims read nothing, neither with psql and a role nor through the request guard."""

import json
import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.rls import matrix, visibility
from tests.rls.test_matrix import RELATIONS, relations, words_of
from tests.support.client import caller
from tests.support.context import Caller, Connection, RefusedError, call, line, shadow, submit, value
from tests.support.rls_dataset import RlsDataset

# rows that every caller of the role sees
COMMON = {"all", "active", "shown", "live", "trail"}


def asks(conn: Connection, role: str, claims: str, query: str) -> Any:
    """The first value of a query as this role with these raw claims; rolled back."""
    with conn.transaction(force_rollback=True):
        conn.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        conn.execute("select set_config('role', %s, true)", [role])
        return value(conn, query)


def personal(conn: Connection, role: str) -> list[str]:
    """Relations of which each caller of this role sees different rows."""
    return [r for r in relations(conn) if words_of(r)[role] not in COMMON | {"-", "none"}]


def forged_callers(dataset: RlsDataset, role: str) -> list[Caller]:
    """Ids of other roles under this role, and ids that no account has."""
    everyone = {
        "partner": dataset.west.partner,
        "agent": dataset.west.agent,
        "subdist": dataset.west.subdist,
        "admin": dataset.admin,
        "superadmin": dataset.superadmin,
        "erp": dataset.erp,
    }
    ids = [who.sub for name, who in everyone.items() if name != role] + [str(uuid.uuid4()), None]
    return [Caller(role, sub) for sub in ids]


@pytest.mark.parametrize("role", ["partner", "agent", "subdist"])
def test_the_id_of_another_role_or_of_no_account_reads_no_personal_row(
    conn: Connection, dataset: RlsDataset, role: str
) -> None:
    staff = (dataset.admin.sub, dataset.superadmin.sub)
    for liar in forged_callers(dataset, role):
        for relation in personal(conn, role):
            if role == "agent" and liar.sub in staff and words_of(relation)[role] == "self":
                continue  # their own account under another role: the guard refuses it
            assert visibility.seen(conn, relation, liar) == set(), (relation, liar)


@pytest.mark.parametrize("role", ["partner", "agent", "subdist", "admin", "superadmin"])
def test_the_guard_refuses_a_subject_that_does_not_have_the_role(
    conn: Connection, dataset: RlsDataset, role: str
) -> None:
    for liar in forged_callers(dataset, role):
        with pytest.raises(RefusedError) as refused:
            call(conn, liar, "logout")
        assert refused.value.code == ("ACCOUNT_INACTIVE" if liar.sub else "UNAUTHENTICATED"), liar


@pytest.mark.parametrize("role", [role for role in matrix.TOKEN_ROLES if role != "anon"])
@pytest.mark.parametrize(
    "claims",
    ["", "null", "[]", "{}", '"text"', "7", '{"sub": null}', '{"sub": ""}', '{"sub": 7}', '{"sub": {}}',
     '{"sub": "not-a-uuid"}', '{"sub": "00000000-0000-0000-0000-000000000000"}', "not json", "{", '{"sub":',
     '{"sub": "0190-x", "act": {"sub": "y"}}'],
)  # fmt: skip
def test_malformed_claims_read_nothing(conn: Connection, role: str, claims: str) -> None:
    for relation in ["api.me", *personal(conn, role)]:
        try:
            count = asks(conn, role, claims, f"select count(*) from {relation}")
        except (psycopg.errors.InvalidTextRepresentation, psycopg.errors.InvalidParameterValue):
            continue  # refused outright: 22P02
        # erp and messenger have no account of their own: the guard asks for a subject
        assert count == 0 or (relation == "api.me" and role in ("erp", "messenger")), relation
    if "00000000" in claims and role in ("erp", "messenger"):
        return
    with pytest.raises(psycopg.Error) as refused:
        asks(conn, role, claims, "select auth.request_guard()")
    assert refused.value.sqlstate in ("PGRST", "22P02")


def act(dataset: RlsDataset, **claims: Any) -> Caller:
    return Caller("partner", dataset.west.partner.sub, claims)


def test_acting_for_a_partner_requires_the_agents_own_open_session(
    conn: Connection, dataset: RlsDataset
) -> None:
    session = call(conn, dataset.west.agent, "start_shadow_session", partner_id=dataset.west.partner.sub)
    agent, stranger = dataset.west.agent.sub, dataset.east.agent.sub
    sid = session["session_id"]
    good = act(dataset, act={"sub": agent}, sid=sid)
    assert call(conn, good, "me")["acting_agent_id"] == agent
    lies = [
        act(dataset, act={"sub": stranger}, sid=sid),
        act(dataset, act={"sub": agent}, sid=str(uuid.uuid4())),
        act(dataset, act={"sub": agent}),
        act(dataset, act={"sub": dataset.west.partner.sub}, sid=sid),
        act(dataset, act={}, sid=sid),
        act(dataset, act=None, sid=sid),
        act(dataset, act="someone", sid=sid),
        act(dataset, sid=sid),
        Caller("partner", dataset.east.partner.sub, {"act": {"sub": agent}, "sid": sid}),
        Caller("agent", agent, {"act": {"sub": agent}, "sid": sid}),
        Caller("admin", dataset.admin.sub, {"act": {"sub": agent}, "sid": sid}),
    ]
    for liar in lies:
        for function, arguments in (
            ("me", {}),
            ("submit_order", {"items": [{"sku": "SKU-001", "quantity": 1}], "idempotency_key": "forged"}),
        ):
            if function == "submit_order" and liar.role != "partner":
                continue
            with pytest.raises(RefusedError) as refused:
                call(conn, liar, function, **arguments)
            assert refused.value.code == "SESSION_CLOSED", (liar, function)


def test_an_act_claim_without_a_session_cannot_order_with_psql(conn: Connection, dataset: RlsDataset) -> None:
    forged = act(dataset, act={"sub": dataset.east.agent.sub}, sid=str(uuid.uuid4()))
    body = json.dumps([{"sku": "SKU-001", "quantity": 1}])
    for query in (
        f"select (api.submit_order('{body}', 0, null, 'forged')).id",
        f"select (api.save_draft('{body}')).id",
        f"select (api.redeem_reward('{dataset.rewards[1]}', 'forged')).id",
    ):
        with pytest.raises(psycopg.Error) as refused:
            asks(conn, "partner", forged.claims, query)
        assert "SESSION_CLOSED" in str(refused.value)


def test_only_an_active_partner_orders_with_psql(conn: Connection, dataset: RlsDataset) -> None:
    body = json.dumps([{"sku": "SKU-001", "quantity": 1}])
    conn.execute("update app.partners set is_active = false where id = %s", [dataset.east.partner.sub])
    for role, claims, code in (
        ("partner", "{}", "UNAUTHENTICATED"),
        ("none", dataset.west.partner.claims, "NOT_ALLOWED"),
        ("partner", dataset.east.partner.claims, "ACCOUNT_INACTIVE"),
        ("partner", dataset.deleted.claims, "ACCOUNT_INACTIVE"),
    ):
        for query in (
            f"select (api.submit_order('{body}', 0, null, 'k')).id",
            f"select api.quote_order('{body}')",
            f"select (api.redeem_reward('{dataset.rewards[1]}', 'k')).id",
        ):
            with pytest.raises(psycopg.Error) as refused:
                asks(conn, role, claims, query)
            assert RefusedError.of(refused.value).code == code, (role, claims)


def test_a_suspended_sub_distributor_cannot_respond_with_psql(conn: Connection, dataset: RlsDataset) -> None:
    order = dataset.west.orders["submitted"]["id"]
    with conn.transaction():
        # as if it had been routed at that moment: otherwise it would be handed over
        conn.execute("set local session_replication_role = replica")
        conn.execute("update app.sub_distributors set status = 'SUSPENDED'")
    conn.execute("set session_replication_role = default")
    query = f"select (api.respond_order('{order}', 'ACCEPT')).id"
    with pytest.raises(psycopg.Error) as refused:
        asks(conn, "subdist", dataset.west.subdist.claims, query)
    assert RefusedError.of(refused.value).code == "ACCOUNT_INACTIVE"


def test_an_agent_acts_only_for_active_partners_of_their_region(
    conn: Connection, dataset: RlsDataset
) -> None:
    for partner in (dataset.east.partner.sub, dataset.deleted.sub, dataset.west.agent.sub, str(uuid.uuid4())):
        with pytest.raises(RefusedError) as refused:
            call(conn, dataset.west.agent, "start_shadow_session", partner_id=partner)
        assert refused.value.code == "NOT_FOUND"


def test_a_deleted_partner_is_hidden_from_partner_and_agent(conn: Connection, dataset: RlsDataset) -> None:
    with pytest.raises(RefusedError) as refused:
        call(conn, dataset.deleted, "me")
    assert refused.value.code == "ACCOUNT_INACTIVE"
    assert visibility.seen(conn, "app.partners", dataset.deleted) == set()
    deleted = str(dataset.deleted.sub)
    for relation in (
        "api.partners",
        "api.orders",
        "api.invoices",
        "api.order_items",
        "api.partner_statistics",
    ):
        column = "id" if relation == "api.partners" else "partner_id"
        query = f"select count(*) from {relation} where {column} = '{deleted}'"
        assert asks(conn, "agent", dataset.west.agent.claims, query) == 0, relation
        if relation != "api.partners":
            assert asks(conn, "admin", dataset.admin.claims, query) > 0, relation


def test_an_agent_sees_child_regions_but_not_parent_regions(conn: Connection, dataset: RlsDataset) -> None:
    query = "select count(*) from api.orders"
    assert asks(conn, "agent", dataset.west.agent.claims, query) > 0
    below = dataset.west.regions[1]
    conn.execute("update app.agents set region_id = %s where id = %s", [below, dataset.west.agent.sub])
    assert asks(conn, "agent", dataset.west.agent.claims, query) > 0
    conn.execute("update app.partners set region_id = %s", [dataset.west.regions[0]])
    assert asks(conn, "agent", dataset.west.agent.claims, query) == 0
    conn.execute("update app.agents set region_id = null where id = %s", [dataset.west.agent.sub])
    assert asks(conn, "agent", dataset.west.agent.claims, query) == 0


def test_rerouting_moves_the_delivery_contact_to_the_new_sub_distributor(
    conn: Connection, dataset: RlsDataset
) -> None:
    west, east = dataset.west.subdist, dataset.east.subdist
    conn.execute("update app.orders set routed_to_subdist_id = %s where routed_at is not null", [east.sub])
    assert visibility.seen(conn, "api.delivery_contacts", west) == set()
    assert visibility.seen(conn, "api.order_items", west) == set()
    both = {dataset.west.partner.sub, dataset.east.partner.sub}
    assert visibility.seen(conn, "api.delivery_contacts", east) == both


def test_a_partner_sees_prices_of_their_own_tier_only(conn: Connection, dataset: RlsDataset) -> None:
    for side in dataset.sides:
        tier = value(conn, "select tier::text from app.partners where id = %s", side.partner.sub)
        with conn.transaction(force_rollback=True):
            conn.execute("select set_config('request.jwt.claims', %s, true)", [side.partner.claims])
            conn.execute("set local role partner")
            rows = conn.execute("select sku, price from api.products order by sku").fetchall()
            tiers = conn.execute("select distinct tier::text from app.tier_prices").fetchall()
        wanted = conn.execute(
            "select p.sku, case when p.is_active then t.price end from app.products p"
            " join app.tier_prices t on t.product_id = p.id where t.tier::text = %s order by 1",
            [tier],
        ).fetchall()
        assert rows == wanted
        assert tiers == [(tier,)]


def test_a_withdrawn_product_is_readable_without_a_price(conn: Connection, dataset: RlsDataset) -> None:
    west = dataset.west
    conn.execute("update app.products set retail_price = 150000")
    for who in (west.partner, west.agent, west.subdist, dataset.admin, dataset.superadmin):
        rows = visibility.attempt(
            conn,
            who,
            lambda: conn.execute(
                "select sku, is_active, price, min_qty_discount, discount_price, retail_price"
                " from api.products where sku in ('SKU-OLD', 'SKU-OFF') order by sku"
            ).fetchall(),
        )
        assert rows == [("SKU-OFF", False, *[None] * 4), ("SKU-OLD", False, *[None] * 4)]


def test_a_partner_does_not_see_the_list_price(conn: Connection, dataset: RlsDataset) -> None:
    conn.execute("update app.products set base_price = 4711000")
    conn.execute(
        "insert into app.tier_prices (product_id, tier, price, effective_from)"
        " select p.id, t.tier, 90000, now() - interval '1 day' from app.products as p,"
        " unnest(enum_range(null::app.tier_enum)) as t (tier)"
        " where not exists (select from app.tier_prices as x where x.product_id = p.id and x.tier = t.tier)"
    )
    west = dataset.west
    for side in dataset.sides:
        rows = asks(conn, "partner", side.partner.claims, "select json_agg(p)::text from api.products as p")
        assert "SKU-OFF" in rows
        assert "4711000" not in rows
    for who in (west.partner, west.agent, west.subdist, dataset.erp):
        read = visibility.seen(conn, "api.product_master", who)
        assert read is None
    shown = "select min(base_price) from api.product_master where sku = 'SKU-OFF'"
    assert asks(conn, "admin", dataset.admin.claims, shown) == 4711000


def test_a_partner_sees_only_their_own_credit(conn: Connection, dataset: RlsDataset) -> None:
    for side in dataset.sides:
        rows = asks(conn, "partner", side.partner.claims, "select array_agg(id::text) from app.partners")
        assert rows == [side.partner.sub]
        assert asks(conn, "partner", side.partner.claims, "select credit_limit from api.me") == 50_000_000
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        asks(conn, "subdist", dataset.west.subdist.claims, "select credit_limit from app.partners")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        asks(conn, "subdist", dataset.west.subdist.claims, "select email from app.partners")


def test_hidden_columns_cannot_be_filtered_or_ordered_by(conn: Connection, dataset: RlsDataset) -> None:
    for query in (
        "select count(*) from app.partners where password_hash like '$2a$%'",
        "select id from app.partners order by password_hash",
        "select count(password_hash) from app.partners",
        "select p from app.partners p",
        "select to_jsonb(p) from app.partners p",
        "select count(*) from app.partners p where p::text like '%x%'",
        "select variables from app.messages",
    ):
        for who in (dataset.west.partner, dataset.west.agent, dataset.admin, dataset.superadmin):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                asks(conn, who.role, who.claims, query)


def test_a_function_in_a_filter_sees_only_the_callers_rows(conn: Connection, dataset: RlsDataset) -> None:
    # An operator that raises on another's row would reveal its content: the policy is evaluated first,
    # even if the operator is cheaper.
    me = dataset.west.partner.sub
    for view in ("orders", "invoices", "partner_statistics"):
        query = (
            f"select count(*) from api.{view} where 1 / (case partner_id when '{me}' then 1 else 0 end) = 1"
        )
        assert asks(conn, "partner", dataset.west.partner.claims, query) > 0


def test_ids_of_others_get_the_same_answer_as_unknown_ids(conn: Connection, dataset: RlsDataset) -> None:
    west, east = dataset.west, dataset.east
    theirs = east.orders["submitted"]["id"]
    draft = east.orders["draft"]["id"]
    tries: list[tuple[Caller, str, dict[str, Any]]] = [
        (west.partner, "cancel_order", {"order_id": theirs}),
        (west.partner, "submit_draft", {"order_id": draft, "idempotency_key": "k"}),
        (west.subdist, "respond_order", {"order_id": theirs, "decision": "ACCEPT"}),
    ]
    for who, function, arguments in tries:
        answers = []
        for order_id in (arguments["order_id"], str(uuid.uuid4())):
            with pytest.raises(RefusedError) as refused:
                call(conn, who, function, **(arguments | {"order_id": order_id}))
            answers.append((refused.value.code, refused.value.details))
        assert answers[0] == answers[1]
        assert answers[0][0] == "NOT_FOUND"


def test_every_word_of_the_matrix_has_a_rule() -> None:
    words = {word for row in RELATIONS.values() for word in row.values()}
    assert words == set(visibility.RULES) | {"-"}


def test_planner_statistics_are_visible_to_no_role(conn: Connection, dataset: RlsDataset) -> None:
    conn.execute("analyze app.partners, app.orders, app.invoices, app.messages, app.audit_logs")
    there = "select count(*) from pg_stats where schemaname in ('app', 'auth', 'jobs')"
    assert conn.execute(there).fetchall()[0][0] > 50
    for who in (
        dataset.west.partner,
        dataset.west.agent,
        dataset.west.subdist,
        dataset.admin,
        dataset.superadmin,
    ):
        assert asks(conn, who.role, who.claims, there) == 0, who.role


def test_explain_reveals_no_value_of_others(conn: Connection, dataset: RlsDataset) -> None:
    partner = dataset.west.partner
    conn.execute(
        "select set_config('request.jwt.claims', %s, true), set_config('role', 'partner', true)",
        [partner.claims],
    )
    rows = conn.execute(
        "explain (analyze, verbose, costs off, timing off) select * from api.orders"
    ).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert str(dataset.east.partner.sub) not in plan
    assert "partner_id = " in plan, "the policy is part of the plan"


def test_a_closed_shadow_session_can_do_nothing_with_psql(conn: Connection, dataset: RlsDataset) -> None:
    partner = dataset.east.partner
    order = submit(conn, partner, [line("SKU-001", 1)])
    acting = shadow(conn, dataset.east.agent, partner)
    call(conn, dataset.east.agent, "end_shadow_session")
    body = Jsonb([line("SKU-001", 1)])
    with caller(conn, "partner", acting.sub, guard=False, **acting.extra):
        for query, *values in (
            ("select api.cancel_order(%s)", order["id"]),
            ("select api.quote_order(%s)", body),
            ("select api.save_draft(%s)", body),
            ("select api.submit_order(%s, 0, null, 'k')", body),
        ):
            with pytest.raises(psycopg.Error) as refused, conn.transaction():
                conn.execute(query.encode(), values)
            assert "SESSION_CLOSED" in str(refused.value), query
