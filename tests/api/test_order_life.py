"""One order from price to points over HTTP, with the `postgrest` client, as a frontend drives it."""

import re
import uuid
from typing import Any

import pytest
from postgrest import APIError, CountMethod

from tests.api.conftest import ApiClient
from tests.support.context import Connection, value
from tests.support.queries import run_job
from tests.support.rls_dataset import PASSWORD


def signed_in(api: ApiClient, email: str) -> str:
    token: str = (
        api.client().rpc("login", {"email": email, "password": PASSWORD}).execute().data["access_token"]
    )
    return token


def test_an_order_from_price_to_points(api: ApiClient, conn: Connection) -> None:  # noqa: PLR0915 - one story
    partner = api.client(signed_in(api, "anggrek@hub.test"))
    before = one(partner.rpc("me", {}).execute().data)
    products = partner.from_("products").select("*").ilike("name", "sampo%").order("sku").execute().data
    price = {p["sku"]: p["price"] for p in products}
    assert price["SKU-001"] == 190_000

    lines = [{"sku": "SKU-001", "quantity": 5}, {"sku": "SKU-003", "quantity": 2}]
    quote = partner.rpc("quote_order", {"items": lines, "points": 10}).execute().data
    total = 5 * price["SKU-001"] + 2 * price["SKU-003"] - 1000
    assert (quote["grand_total"], quote["points_promised"]) == (total, total // 10_000)

    key = str(uuid.uuid4())
    body = {"items": lines, "points": 10, "idempotency_key": key, "notes": "Sebelum jam 10"}
    order = one(partner.rpc("submit_order", body).execute().data)
    assert order["grand_total"] == total
    assert re.fullmatch(r"ORD-[0-9]{6}-[0-9]{6}", order["order_number"])
    assert one(partner.rpc("submit_order", body).execute().data)["id"] == order["id"]
    with pytest.raises(APIError) as reused:
        partner.rpc("submit_order", body | {"points": 0}).execute()
    assert reused.value.code == "IDEMPOTENCY_CONFLICT"

    messages = delivered(api)
    routed = [m for m in messages if m["template"] == "order_routed" and m["order_id"] == order["id"]]
    assert [m["recipient"] for m in routed] == [api.dataset.west.number]
    assert "Rp" in routed[0]["body"]
    assert [b["title"] for b in routed[0]["buttons"]] == ["Terima", "Tolak"]

    subdist = api.client(subdist_token(api))
    listed = subdist.from_("orders").select("*, delivery_contacts(*), order_items(*, products(sku,name))")
    seen = listed.eq("id", order["id"]).single().execute().data
    assert seen["delivery_contacts"]["business_name"] == "Salon Anggrek"
    assert {i["products"]["sku"] for i in seen["order_items"]} == {"SKU-001", "SKU-003"}
    answered = subdist.rpc("respond_order", {"order_id": order["id"], "decision": "ACCEPT"}).execute().data
    assert one(answered)["status"] == "PROCESSING"

    admin = api.client(signed_in(api, "adi@hub.test"))
    assert one(admin.rpc("approve_order", {"order_id": order["id"]}).execute().data)["status"] == "APPROVED"
    invoice = partner.from_("invoices").select("*").eq("order_id", order["id"]).single().execute().data
    assert (invoice["amount"], invoice["amount_due"], invoice["status"]) == (total, total, "UNPAID")

    def pay(amount: float, reference: str) -> dict[str, Any]:
        body = {"invoice_id": invoice["id"], "amount": amount, "reference_number": reference}
        paid: dict[str, Any] = admin.rpc("record_payment", body).execute().data
        return paid

    def points() -> int:
        run_job(conn, "point-queue")
        balance: int = one(partner.rpc("me", {}).execute().data)["point_balance"]
        return balance

    assert points() == before["point_balance"] - 10
    first = pay(100_000, "BCA-77")
    assert (first["duplicate"], first["invoice"]["status"]) == (False, "PARTIAL")
    again = pay(100_000, "BCA-77")
    assert (again["duplicate"], again["payment_id"]) == (True, first["payment_id"])
    with pytest.raises(APIError) as other:
        pay(100_001, "BCA-77")
    assert other.value.code == "PAYMENT_REFERENCE_REUSED"
    assert points() == before["point_balance"] - 10
    with pytest.raises(APIError) as above:
        pay(total, "BCA-78")
    assert above.value.code == "PAYMENT_EXCEEDS_DUE"
    assert pay(total - 100_000, "BCA-79")["invoice"]["status"] == "PAID"
    wanted = before["point_balance"] - 10 + quote["points_promised"]
    assert points() == wanted
    assert pay(total - 100_000, "BCA-79")["duplicate"] is True
    assert points() == wanted

    ledger = partner.from_("point_transactions").select("type,points").eq("order_id", order["id"])
    assert ledger.order("created_at").execute().data == [
        {"type": "REDEEMED", "points": -10},
        {"type": "EARNED", "points": quote["points_promised"]},
    ]
    for call, status in (("ship_order", "SHIPPED"), ("complete_order", "COMPLETED")):
        assert one(admin.rpc(call, {"order_id": order["id"]}).execute().data)["status"] == status
    events = (
        partner.from_("order_events").select("to_status").eq("order_id", order["id"]).order("id").execute()
    )
    states = [e["to_status"] for e in events.data]
    assert list(dict.fromkeys(states)) == ["SUBMITTED", "PROCESSING", "APPROVED", "SHIPPED", "COMPLETED"]


def one(data: Any) -> dict[str, Any]:
    """The object that an RPC returning a row answers with."""
    assert isinstance(data, dict)
    return data


def delivered(api: ApiClient) -> list[dict[str, Any]]:
    """Act as the messenger: claim all due messages and report them sent."""
    messenger = api.client(api.dataset.messenger)
    taken: list[dict[str, Any]] = []
    while claimed := messenger.rpc("claim_messages", {"max": 1000}).execute().data:
        for message in claimed:
            sent = {"message_id": message["id"], "provider_id": f"wamid.{message['id']}"}
            messenger.rpc("message_sent", sent).execute()
        taken += claimed
    return taken


def subdist_token(api: ApiClient) -> str:
    """Sign in with the link sent over WhatsApp; it works once."""
    answer = api.client().rpc("request_link", {"whatsapp_number": api.dataset.west.number}).execute().data
    assert answer == {"sent": True, "minutes": 15}
    link = [m for m in delivered(api) if m["template"] == "sign_in_link"][-1]
    assert link["variables"]["token"] in link["body"]
    token: str = (
        api.client().rpc("redeem_link", {"token": link["variables"]["token"]}).execute().data["access_token"]
    )
    with pytest.raises(APIError) as used:
        api.client().rpc("redeem_link", {"token": link["variables"]["token"]}).execute()
    assert used.value.code == "INVALID_LINK"
    return token


def test_a_draft_is_kept_submitted_and_cancelled(api: ApiClient, conn: Connection) -> None:
    partner = api.client(api.dataset.east.partner)
    stock = (
        "select display_stock from app.inventory i join app.products p on p.id = product_id where sku = %s"
    )
    before = value(conn, stock, "SKU-002")
    draft = one(partner.rpc("save_draft", {"items": [{"sku": "SKU-002", "quantity": 4}]}).execute().data)
    assert (draft["status"], value(conn, stock, "SKU-002")) == ("DRAFT", before)
    body = {"order_id": draft["id"], "idempotency_key": str(uuid.uuid4())}
    assert one(partner.rpc("submit_draft", body).execute().data)["status"] == "SUBMITTED"
    assert value(conn, stock, "SKU-002") == before - 4
    gone = one(partner.rpc("cancel_order", {"order_id": draft["id"], "reason": "Salah"}).execute().data)
    assert (gone["status"], gone["status_reason"]) == ("CANCELLED", "Salah")
    assert value(conn, stock, "SKU-002") == before


def test_the_partner_embeds_lines_products_and_invoices(api: ApiClient) -> None:
    path = "/orders?select=*,order_items(*,products(sku,name)),invoices(*)&order=created_at.desc"
    answer = api.get(api.dataset.west.partner, path)
    assert answer.status_code == 200, answer.text
    orders = answer.json()
    assert {o["partner_id"] for o in orders} == {api.dataset.west.partner.sub}
    billed = next(o for o in orders if o["id"] == api.dataset.west.orders["billed"]["id"])
    assert [i["products"]["sku"] for i in billed["order_items"]] == ["SKU-002"]
    assert [i["amount"] for i in billed["invoices"]] == [billed["grand_total"]]
    assert all("password_hash" not in str(o) for o in orders)


def test_every_documented_relation_can_be_embedded(api: ApiClient) -> None:
    partner = api.client(api.dataset.west.partner)
    for relation, select in {
        "invoices": "*, orders(order_number), invoice_payments(*)",
        "invoice_payments": "*, invoices(invoice_number, orders(order_number))",
        "order_items": "*, orders(order_number), products(sku, brands(name), categories(name))",
        "order_events": "*, orders(order_number)",
        "products": "*, brands(name), categories(name, slug)",
        "point_transactions": "*, orders(order_number), invoices(invoice_number)",
        "redemptions": "*, redemption_catalog(name)",
        "orders": "*, order_events(*), point_transactions(*), order_items(count)",
    }.items():
        rows = partner.from_(relation).select(select, count=CountMethod.exact).execute()
        assert rows.data, relation
        assert rows.count == len(rows.data)
    admin = api.client(api.dataset.admin)
    for relation, select in {
        "partners": "*, regions(name), orders(order_number)",
        "sub_distributors": "*, regions(name)",
        "orders": "*, partners(business_name), sub_distributors(business_name), agents!agent_id(full_name)",
        "sla_escalation_logs": "*, orders(order_number)",
        "agent_sessions": "*, agents(full_name), partners(business_name), impersonation_notifications(*)",
        "tier_prices": "*, products(sku)",
        "messages": "*, orders(order_number)",
    }.items():
        assert admin.from_(relation).select(select).execute().data, relation
