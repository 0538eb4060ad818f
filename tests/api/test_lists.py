"""Lists as a frontend reads them: filters, order, pages, counts; and that a list is never written to."""

from typing import Any

import pytest
from postgrest import CountMethod

from tests.api.conftest import Hub, refused
from tests.support.context import Connection, value


def test_pages_with_a_count(hub: Hub) -> None:
    partner = hub.client(hub.dataset.west.partner)
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
    answer = hub.get(hub.dataset.west.partner, "/orders?select=id&limit=2", Prefer="count=exact")
    assert (answer.status_code, answer.headers["Content-Range"]) == (206, f"0-1/{whole.count}")
    beyond = hub.get(hub.dataset.west.partner, "/orders?offset=1000", Prefer="count=exact")
    refused(beyond, 416, "PGRST103")


def test_filters(hub: Hub) -> None:
    partner = hub.client(hub.dataset.west.partner)
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


def test_order(hub: Hub) -> None:
    partner = hub.client(hub.dataset.west.partner)
    rows = partner.from_("products").select("sku,price").order("price", desc=True).order("sku").execute().data
    assert [r["price"] for r in rows] == sorted((r["price"] for r in rows), reverse=True)


def test_a_row_as_an_object_and_a_list_as_csv(hub: Hub) -> None:
    order = hub.dataset.west.orders["paid"]
    path = f"/orders?id=eq.{order['id']}&select=id,grand_total"
    answer = hub.get(hub.dataset.west.partner, path, Accept="application/vnd.pgrst.object+json")
    assert answer.json() == {"id": order["id"], "grand_total": float(order["grand_total"])}
    unknown = f"/orders?id=eq.{hub.dataset.east.orders['paid']['id']}"
    answer = hub.get(hub.dataset.west.partner, unknown, Accept="application/vnd.pgrst.object+json")
    refused(answer, 406, "PGRST116")
    answer = hub.get(hub.dataset.west.partner, path, Accept="text/csv")
    assert answer.text.splitlines()[0] == "id,grand_total"


def test_an_answer_of_an_rpc_can_be_cut_to_what_is_needed(hub: Hub) -> None:
    body = {"items": [{"sku": "SKU-001", "quantity": 1}], "idempotency_key": "shape"}
    answer = hub.rpc(hub.dataset.west.partner, "submit_order?select=order_number,status,grand_total", body)
    assert set(answer.json()) == {"order_number", "status", "grand_total"}
    answer = hub.rpc(
        hub.dataset.west.partner, "submit_order?select=id,order_items(quantity,products(sku))", body
    )
    assert answer.json()["order_items"] == [{"quantity": 1, "products": {"sku": "SKU-001"}}]


def test_a_list_of_another_role_is_refused(hub: Hub) -> None:
    for path in (
        "/partners",
        "/audit_logs",
        "/tier_prices",
        "/system_configs",
        "/messages",
        "/delivery_contacts",
    ):
        refused(hub.get(hub.dataset.west.partner, path), 403, "42501")
    refused(hub.get(hub.dataset.admin, "/system_config_history"), 403, "42501")
    assert hub.get(hub.dataset.superadmin, "/system_config_history?limit=1").status_code == 200


def test_private_schemas_are_out_of_reach(hub: Hub) -> None:
    for schema in ("app", "auth", "jobs", "public", "pg_catalog"):
        answer = hub.get(hub.dataset.admin, "/partners", **{"Accept-Profile": schema})
        refused(answer, 406, "PGRST106")
    refused(hub.get(hub.dataset.admin, "/order_number_seq"), 404, "PGRST205")
    refused(hub.rpc(hub.dataset.admin, "request_guard"), 404, "PGRST202")


def test_a_column_that_is_not_shown_cannot_be_asked_for(hub: Hub) -> None:
    for path in (
        "/partners?select=password_hash",
        "/partners?password_hash=like.*",
        "/partners?order=password_hash",
        "/orders?select=request_hash",
        "/messages?select=variables",
    ):
        refused(hub.get(hub.dataset.admin, path), 400, "42703")


def writable(hub: Hub) -> list[str]:
    paths = hub.http.get("/", headers=hub.headers(hub.dataset.superadmin)).json()["paths"]
    return [path for path in paths if path != "/" and not path.startswith("/rpc/")]


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_no_list_can_be_written_to(hub: Hub, method: str) -> None:
    dataset = hub.dataset
    for path in [*writable(hub), "/orders"]:
        for who in (dataset.west.partner, dataset.superadmin, dataset.west.subdist, dataset.messenger, None):
            body: Any = None if method == "DELETE" else {"id": dataset.west.orders["paid"]["id"]}
            query = f"{path}?id=eq.{dataset.west.orders['paid']['id']}" if method == "PUT" else path
            answer = hub.http.request(method, query, json=body, headers=hub.headers(who))
            assert 400 <= answer.status_code < 500, (method, path, who, answer.text)
            assert answer.json()["code"], (method, path, who)


def test_a_partner_cannot_patch_his_own_order(hub: Hub, conn: Connection) -> None:
    order = hub.dataset.west.orders["submitted"]["id"]
    path = f"/orders?id=eq.{order}"
    headers = hub.headers(hub.dataset.west.partner)
    answer = hub.http.patch(path, json={"status": "COMPLETED"}, headers=headers)
    refused(answer, 403, "NOT_ALLOWED")
    refused(hub.http.delete(path, headers=headers), 403, "NOT_ALLOWED")
    assert value(conn, "select status::text from app.orders where id = %s", order) == "SUBMITTED"


def test_writing_to_a_view_without_a_table_behind_it_is_no_server_error(hub: Hub) -> None:
    for path in ("/partner_statistics", "/job_health", "/consistency", "/products", "/me"):
        for who, status, code in ((hub.dataset.admin, 403, "NOT_ALLOWED"), (None, 401, "UNAUTHENTICATED")):
            headers = hub.headers(who)
            refused(hub.http.delete(path, headers=headers), status, code)


def test_an_rpc_that_writes_does_not_answer_get(hub: Hub) -> None:
    partner = hub.dataset.west.partner
    for path in ("/rpc/logout", "/rpc/cancel_order?order_id=" + hub.dataset.west.orders["submitted"]["id"]):
        answer = hub.get(partner, path)
        assert answer.status_code == 405, answer.text
    assert hub.get(partner, "/rpc/me").json()["id"] == partner.sub


def test_head_and_options(hub: Hub) -> None:
    headers = hub.headers(hub.dataset.west.partner, Prefer="count=exact")
    head = hub.http.head("/orders?select=id", headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Range"].split("/")[1].isdigit()
    options = hub.http.options("/orders")
    assert options.status_code == 200
    assert "GET" in options.headers["Allow"]
    asked = {"Origin": "https://toko.example", "Access-Control-Request-Method": "POST"}
    preflight = hub.http.options("/rpc/submit_order", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] in ("*", "https://toko.example")
