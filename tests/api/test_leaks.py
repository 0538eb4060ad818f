"""Hidden rows do not leak through embedding, counts, ordering, errors or plans."""

import uuid
from typing import Any

import pytest

from tests.api.conftest import ApiClient
from tests.support.context import Connection, value


def _list(api: ApiClient, path: str, **headers: str) -> tuple[int, list[dict[str, Any]], str]:
    """Status, rows and total for the partner of the west."""
    answer = api.get(api.dataset.west.partner, path, **headers)
    total = answer.headers.get("Content-Range", "/").partition("/")[2]
    return answer.status_code, answer.json() if answer.is_success else [], total


@pytest.mark.parametrize(
    ("path", "inner"),
    [
        ("/order_items?select=id,orders(partner_id)", "orders"),
        ("/invoices?select=id,orders(partner_id)", "orders"),
        ("/orders?select=id,invoices(partner_id)", "invoices"),
        ("/products?select=id,order_items(partner_id)", "order_items"),
        ("/redemption_catalog?select=id,redemptions(partner_id)", "redemptions"),
        (
            "/products?select=id,order_items(partner_id,orders(partner_id,invoices(partner_id)))",
            "order_items",
        ),
    ],
)
def test_embedded_rows_are_the_callers_own(api: ApiClient, path: str, inner: str) -> None:
    status, rows, _ = _list(api, path)
    assert status == 200
    assert any(row[inner] for row in rows), "nothing was embedded: this proves nothing"
    me = str(api.dataset.west.partner.sub)
    assert _partners(rows) == {me}


def _partners(found: Any) -> set[str]:
    """Every partner_id anywhere in the rows."""
    if isinstance(found, list):
        return set().union(*(_partners(one) for one in found))
    if isinstance(found, dict):
        own = {str(found["partner_id"])} if found.get("partner_id") else set()
        return own.union(*(_partners(one) for one in found.values()))
    return set()


@pytest.mark.parametrize("embedded", ["partners(business_name)", "sub_distributors(*)", "agents(email)"])
def test_a_hidden_relation_cannot_be_embedded(api: ApiClient, embedded: str) -> None:
    answer = api.get(api.dataset.west.partner, f"/orders?select=id,{embedded}")
    assert answer.status_code in (400, 403), answer.text
    for side in (api.dataset.west, api.dataset.east):
        assert str(side.partner.sub) not in answer.text


def test_other_partners_cannot_be_found_through_embeds(api: ApiClient) -> None:
    stranger, unknown = api.dataset.east.partner.sub, uuid.uuid4()
    for path in (
        "/products?select=sku,order_items!inner(id)&order_items.partner_id=eq.{}",
        "/order_items?select=id,orders!inner(id)&orders.partner_id=eq.{}",
        "/orders?select=id&partner_id=eq.{}",
        "/invoices?select=id&partner_id=not.eq.{}&partner_id=neq." + str(api.dataset.west.partner.sub),
    ):
        found = [_list(api, path.format(who), Prefer="count=exact") for who in (stranger, unknown)]
        assert found[0] == found[1], path
        assert found[0][1] == []


@pytest.mark.parametrize("view", ["orders", "order_items", "invoices", "point_transactions", "redemptions"])
def test_a_count_includes_only_visible_rows(api: ApiClient, conn: Connection, view: str) -> None:
    _, rows, total = _list(api, f"/{view}?select=id", Prefer="count=exact")
    mine = value(
        conn, f"select count(*) from app.{view} where partner_id = %s", str(api.dataset.west.partner.sub)
    )
    assert len(rows) == int(total) == mine
    assert mine < value(conn, f"select count(*) from app.{view}")


@pytest.mark.parametrize("hidden", ["request_hash", "idempotency_key", "xmin", "ctid", "tableoid"])
def test_hidden_columns_cannot_order_a_list(api: ApiClient, hidden: str) -> None:
    for path in (f"/orders?select=id&order={hidden}", f"/orders?select=id&{hidden}=not.is.null"):
        assert api.get(api.dataset.west.partner, path).status_code == 400, path
    assert api.get(api.dataset.admin, "/partners?select=id&order=password_hash").status_code == 400


def test_no_role_gets_a_query_plan(api: ApiClient) -> None:
    for kind in ("", "+json", "+text; options=analyze|verbose"):
        for who in (api.dataset.west.partner, api.dataset.admin):
            answer = api.get(who, "/orders", Accept=f"application/vnd.pgrst.plan{kind}")
            assert answer.status_code == 406, answer.text
            assert "Filter" not in answer.text


def test_an_error_reveals_no_value_or_row_of_others(api: ApiClient) -> None:
    for path in (
        "/orders?id=eq.x",
        "/orders?grand_total=gt.x",
        "/orders?select=id,nothing(*)",
        "/orders?order=grand_total.sideways",
        "/nothing",
    ):
        text = api.get(api.dataset.west.partner, path).text
        for order in api.dataset.east.orders.values():
            assert order["id"] not in text
        assert "app." not in text
        assert "policy" not in text
