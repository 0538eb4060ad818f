"""Lists as a frontend reads them: filters, order, pages, counts; and that lists are read-only."""

from typing import Any

import pytest
from postgrest import CountMethod

from devtools.bench import lists
from tests.api.conftest import ApiClient, assert_error
from tests.rls import visibility
from tests.rls.matrix import WRITES
from tests.support.context import Connection, value


def test_pages_report_the_total_count(api: ApiClient) -> None:
    partner = api.client(api.dataset.west.partner)
    whole = partner.from_("orders").select("id", count=CountMethod.exact).order("created_at").execute()
    assert whole.count == len(whole.data) >= 5
    page = (
        partner.from_("orders")
        .select("id", count=CountMethod.exact)
        .order("created_at")
        .range(1, 2)
        .execute()
    )
    assert page.data == whole.data[1:3]
    assert page.count == whole.count
    answer = api.get(api.dataset.west.partner, "/orders?select=id&limit=2", Prefer="count=exact")
    assert (answer.status_code, answer.headers["Content-Range"]) == (206, f"0-1/{whole.count}")
    beyond = api.get(api.dataset.west.partner, "/orders?offset=1000", Prefer="count=exact")
    assert_error(beyond, 416, "PGRST103")


def test_lists_that_are_measured_answer_each_of_their_roles(api: ApiClient) -> None:
    refused = [
        (role, name, answer.text)
        for role, name, path in lists.declared()
        for who, _ in visibility.callers(api.dataset, role)[:1]
        if (answer := api.get(who, path)).status_code not in (200, 206)
    ]
    assert refused == []


def test_filters_combine(api: ApiClient) -> None:
    partner = api.client(api.dataset.west.partner)
    orders = partner.from_("orders").select("status, grand_total")
    assert {o["status"] for o in orders.in_("status", ["DRAFT", "CANCELLED"]).execute().data} == {
        "DRAFT",
        "CANCELLED",
    }
    many = partner.from_("orders").select("grand_total").gte("grand_total", 500_000).execute().data
    assert many
    assert all(o["grand_total"] >= 500_000 for o in many)
    either = partner.from_("orders").select("status").or_("status.eq.DRAFT,grand_total.gt.600000").execute()
    assert either.data
    found = partner.from_("products").select("sku").ilike("name", "%sampo 1%").execute().data
    assert found == [{"sku": "SKU-002"}]
    none = partner.from_("orders").select("id").is_("routed_at", "null").eq("status", "DRAFT").execute().data
    assert len(none) >= 1


def test_lists_are_ordered_as_requested(api: ApiClient) -> None:
    partner = api.client(api.dataset.west.partner)
    products = partner.from_("products").select("sku,price").eq("is_active", True)
    rows = products.order("price", desc=True).order("sku").execute().data
    assert [r["price"] for r in rows] == sorted((r["price"] for r in rows), reverse=True)


def test_a_row_as_an_object_and_a_list_as_csv(api: ApiClient) -> None:
    order = api.dataset.west.orders["paid"]
    path = f"/orders?id=eq.{order['id']}&select=id,grand_total"
    answer = api.get(api.dataset.west.partner, path, Accept="application/vnd.pgrst.object+json")
    assert answer.json() == {"id": order["id"], "grand_total": float(order["grand_total"])}
    unknown = f"/orders?id=eq.{api.dataset.east.orders['paid']['id']}"
    answer = api.get(api.dataset.west.partner, unknown, Accept="application/vnd.pgrst.object+json")
    assert_error(answer, 406, "PGRST116")
    answer = api.get(api.dataset.west.partner, path, Accept="text/csv")
    assert answer.text.splitlines()[0] == "id,grand_total"


def test_the_result_of_an_rpc_can_be_limited_to_columns(api: ApiClient) -> None:
    body = {"items": [{"sku": "SKU-001", "quantity": 1}], "idempotency_key": "shape"}
    answer = api.rpc(api.dataset.west.partner, "submit_order?select=order_number,status,grand_total", body)
    assert set(answer.json()) == {"order_number", "status", "grand_total"}
    answer = api.rpc(
        api.dataset.west.partner, "submit_order?select=id,order_items(quantity,products(sku))", body
    )
    assert answer.json()["order_items"] == [{"quantity": 1, "products": {"sku": "SKU-001"}}]


def test_newest_orders_embed_like_orders(api: ApiClient) -> None:
    select = "select=order_number,status,order_items(quantity,products(sku)),invoices(status)"
    for who in (api.dataset.west.partner, api.dataset.west.agent, api.dataset.admin):
        newest = api.get(who, f"/rpc/newest_orders?n=3&{select}")
        orders = api.get(who, f"/orders?{select}&order=created_at.desc,id.desc&limit=3")
        assert (newest.status_code, newest.json()) == (200, orders.json())
        assert len(newest.json()) == 3
    for n in (0, 101):
        assert_error(api.get(who, f"/rpc/newest_orders?n={n}"), 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("role", "path", "embedded"),
    [
        ("agent", "/invoices?select=partners(business_name)&limit=1", "partners"),
        ("agent", "/partner_statistics?select=id,partners(business_name)&limit=1", "partners"),
        ("agent", "/order_events?select=staff(full_name)&agent_id=not.is.null&limit=1", "staff"),
        ("admin", "/order_events?select=agents(full_name,email)&agent_id=not.is.null&limit=1", "agents"),
        ("agent", "/orders?select=partners(business_name)&limit=1", "partners"),
    ],
)
def test_rows_embed_their_partner_and_their_agent(
    api: ApiClient, conn: Connection, role: str, path: str, embedded: str
) -> None:
    conn.execute("select jobs.refresh_statistics()")
    who = {"agent": api.dataset.west.agent, "admin": api.dataset.admin}[role]
    answer = api.get(who, path)
    assert answer.status_code == 200, answer.text
    [row] = answer.json()
    assert row[embedded], "nothing was embedded: this proves nothing"


def test_orders_in_shadow_mode_embed_the_name_of_their_agent(api: ApiClient, conn: Connection) -> None:
    agent = api.dataset.west.agent
    session = api.rpc(agent, "start_shadow_session", {"partner_id": api.dataset.west.partner.sub}).json()
    order = api.submit(session["access_token"])
    name = value(conn, "select full_name from app.agents where id = %s", agent.sub)
    [row] = api.get(agent, f"/orders?select=staff(full_name)&id=eq.{order['id']}").json()
    assert row == {"staff": {"full_name": name}}
    event = f"/order_events?select=actor_role,staff(full_name)&order_id=eq.{order['id']}"
    assert api.get(agent, event).json() == [{"actor_role": "partner", "staff": {"full_name": name}}]


def test_a_relation_to_embed_is_no_call(api: ApiClient) -> None:
    for name in ("agents", "staff", "partners"):
        assert_error(api.rpc(api.dataset.admin, name), 404, "PGRST202")


def test_agents_read_names_of_staff_and_no_addresses(api: ApiClient) -> None:
    agent = api.dataset.west.agent
    assert {"id", "full_name", "role", "region_id", "is_active"} == set(api.get(agent, "/staff").json()[0])
    assert_error(api.get(agent, "/agents"), 403, "42501")
    assert_error(api.get(api.dataset.west.partner, "/staff"), 403, "42501")


def test_a_list_of_another_role_is_refused(api: ApiClient) -> None:
    for path in (
        "/partners",
        "/audit_logs",
        "/tier_prices",
        "/system_configs",
        "/messages",
        "/delivery_contacts",
    ):
        assert_error(api.get(api.dataset.west.partner, path), 403, "42501")
    assert_error(api.get(api.dataset.admin, "/system_config_history"), 403, "42501")
    assert api.get(api.dataset.superadmin, "/system_config_history?limit=1").status_code == 200


def test_private_schemas_are_not_exposed(api: ApiClient) -> None:
    for schema in ("app", "auth", "jobs", "public", "pg_catalog"):
        answer = api.get(api.dataset.admin, "/partners", **{"Accept-Profile": schema})
        assert_error(answer, 406, "PGRST106")
    assert_error(api.get(api.dataset.admin, "/order_number_seq"), 404, "PGRST205")
    assert_error(api.rpc(api.dataset.admin, "request_guard"), 404, "PGRST202")


def test_a_hidden_column_cannot_be_selected(api: ApiClient) -> None:
    for path in (
        "/partners?select=password_hash",
        "/partners?password_hash=like.*",
        "/partners?order=password_hash",
        "/orders?select=request_hash",
        "/messages?select=variables",
    ):
        assert_error(api.get(api.dataset.admin, path), 400, "42703")


def writable(api: ApiClient) -> list[str]:
    paths = api.http.get("/", headers=api.headers(api.dataset.superadmin)).json()["paths"]
    return [path for path in paths if path != "/" and not path.startswith("/rpc/")]


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_lists_but_master_data_are_read_only(api: ApiClient, method: str) -> None:
    dataset = api.dataset
    for path in [*writable(api), "/orders"]:
        if path.lstrip("/") in WRITES:
            continue  # test_master_data.py
        for who in (dataset.west.partner, dataset.superadmin, dataset.west.subdist, dataset.messenger, None):
            body: Any = None if method == "DELETE" else {"id": dataset.west.orders["paid"]["id"]}
            query = f"{path}?id=eq.{dataset.west.orders['paid']['id']}" if method == "PUT" else path
            answer = api.http.request(method, query, json=body, headers=api.headers(who))
            assert 400 <= answer.status_code < 500, (method, path, who, answer.text)
            assert answer.json()["code"], (method, path, who)


def test_a_partner_cannot_patch_their_own_order(api: ApiClient, conn: Connection) -> None:
    order = api.dataset.west.orders["submitted"]["id"]
    path = f"/orders?id=eq.{order}"
    headers = api.headers(api.dataset.west.partner)
    answer = api.http.patch(path, json={"status": "COMPLETED"}, headers=headers)
    assert_error(answer, 403, "NOT_ALLOWED")
    assert_error(api.http.delete(path, headers=headers), 403, "NOT_ALLOWED")
    assert value(conn, "select status::text from app.orders where id = %s", order) == "SUBMITTED"


def test_writing_to_a_view_without_a_base_table_is_a_client_error(api: ApiClient) -> None:
    for path in ("/partner_statistics", "/job_health", "/consistency", "/me"):
        for who, status, code in ((api.dataset.admin, 403, "NOT_ALLOWED"), (None, 401, "UNAUTHENTICATED")):
            headers = api.headers(who)
            assert_error(api.http.delete(path, headers=headers), status, code)


def test_a_writing_rpc_refuses_get(api: ApiClient) -> None:
    partner = api.dataset.west.partner
    for path in ("/rpc/logout", "/rpc/cancel_order?order_id=" + api.dataset.west.orders["submitted"]["id"]):
        answer = api.get(partner, path)
        assert answer.status_code == 405, answer.text
    assert api.get(partner, "/rpc/me").json()["id"] == partner.sub


def test_head_and_options_are_supported(api: ApiClient) -> None:
    headers = api.headers(api.dataset.west.partner, Prefer="count=exact")
    head = api.http.head("/orders?select=id", headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Range"].split("/")[1].isdigit()
    options = api.http.options("/orders")
    assert options.status_code == 200
    assert "GET" in options.headers["Allow"]
    asked = {"Origin": "https://toko.example", "Access-Control-Request-Method": "POST"}
    preflight = api.http.options("/rpc/submit_order", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] in ("*", "https://toko.example")
