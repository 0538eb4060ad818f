"""What a list could tell of rows that it does not show: by embedding, counts, order, errors and plans."""

import uuid
from typing import Any

import pytest

from tests.api.conftest import Hub
from tests.support.context import Connection, value


def _list(hub: Hub, path: str, **headers: str) -> tuple[int, list[dict[str, Any]], str]:
    """Status, rows and total as the partner of the west gets them."""
    answer = hub.get(hub.dataset.west.partner, path, **headers)
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
def test_what_is_embedded_is_the_callers_own(hub: Hub, path: str, inner: str) -> None:
    status, rows, _ = _list(hub, path)
    assert status == 200
    assert any(row[inner] for row in rows), "nothing was embedded: this proves nothing"
    me = str(hub.dataset.west.partner.sub)
    assert _partners(rows) == {me}


def _partners(found: Any) -> set[str]:
    """Every partner_id that stands anywhere in it."""
    if isinstance(found, list):
        return set().union(*(_partners(one) for one in found))
    if isinstance(found, dict):
        own = {str(found["partner_id"])} if found.get("partner_id") else set()
        return own.union(*(_partners(one) for one in found.values()))
    return set()


@pytest.mark.parametrize("embedded", ["partners(business_name)", "sub_distributors(*)", "agents(email)"])
def test_what_a_role_does_not_see_cannot_be_embedded_either(hub: Hub, embedded: str) -> None:
    answer = hub.get(hub.dataset.west.partner, f"/orders?select=id,{embedded}")
    assert answer.status_code in (400, 403), answer.text
    for side in (hub.dataset.west, hub.dataset.east):
        assert str(side.partner.sub) not in answer.text


def test_strangers_cannot_be_found_by_what_is_embedded(hub: Hub) -> None:
    stranger, nobody = hub.dataset.east.partner.sub, uuid.uuid4()
    for path in (
        "/products?select=sku,order_items!inner(id)&order_items.partner_id=eq.{}",
        "/order_items?select=id,orders!inner(id)&orders.partner_id=eq.{}",
        "/orders?select=id&partner_id=eq.{}",
        "/invoices?select=id&partner_id=not.eq.{}&partner_id=neq." + str(hub.dataset.west.partner.sub),
    ):
        found = [_list(hub, path.format(who), Prefer="count=exact") for who in (stranger, nobody)]
        assert found[0] == found[1], path
        assert found[0][1] == []


@pytest.mark.parametrize("view", ["orders", "order_items", "invoices", "point_transactions", "redemptions"])
def test_a_count_counts_what_is_shown(hub: Hub, conn: Connection, view: str) -> None:
    _, rows, total = _list(hub, f"/{view}?select=id", Prefer="count=exact")
    mine = value(
        conn, f"select count(*) from app.{view} where partner_id = %s", str(hub.dataset.west.partner.sub)
    )
    assert len(rows) == int(total) == mine
    assert mine < value(conn, f"select count(*) from app.{view}")


@pytest.mark.parametrize("hidden", ["request_hash", "idempotency_key", "xmin", "ctid", "tableoid"])
def test_no_order_by_what_is_not_shown(hub: Hub, hidden: str) -> None:
    for path in (f"/orders?select=id&order={hidden}", f"/orders?select=id&{hidden}=not.is.null"):
        assert hub.get(hub.dataset.west.partner, path).status_code == 400, path
    assert hub.get(hub.dataset.admin, "/partners?select=id&order=password_hash").status_code == 400


def test_a_plan_is_shown_to_nobody(hub: Hub) -> None:
    for kind in ("", "+json", "+text; options=analyze|verbose"):
        for who in (hub.dataset.west.partner, hub.dataset.admin):
            answer = hub.get(who, "/orders", Accept=f"application/vnd.pgrst.plan{kind}")
            assert answer.status_code == 406, answer.text
            assert "Filter" not in answer.text


def test_an_error_names_neither_values_nor_rows_of_others(hub: Hub) -> None:
    for path in (
        "/orders?id=eq.x",
        "/orders?grand_total=gt.x",
        "/orders?select=id,nothing(*)",
        "/orders?order=grand_total.sideways",
        "/nothing",
    ):
        text = hub.get(hub.dataset.west.partner, path).text
        for order in hub.dataset.east.orders.values():
            assert order["id"] not in text
        assert "app." not in text
        assert "policy" not in text
