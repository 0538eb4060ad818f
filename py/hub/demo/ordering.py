"""The partner: prices, quote, a refusal, the order."""

import uuid

from hub.demo.api import Caller, Row
from hub.demo.context import ERP_ID, Stage
from hub.demo.narrator import expect, rupiah
from hub.seed import PASSWORD
from hub.seed.dataset import partner_email

PARTNER = "Salon Melati Bogor"
NOTE = "Pesanan demo: mohon dikirim pagi."
"""By this note a later story knows the order of one that broke off."""

ITEMS = [
    {"sku": "KRN-PRM-08", "quantity": 24},
    {"sku": "MLT-MSK-03-1KG", "quantity": 4},
    {"sku": "MLT-SHP-02-1L", "quantity": 6},
]
_PLENTY = 1000


def restock(stage: Stage) -> None:
    """However many stories were told before, there is enough."""
    stage.narrator.step("The ERP reports its stock")
    levels = [{"sku": item["sku"], "quantity": _PLENTY} for item in ITEMS]
    answer = stage.service("erp", ERP_ID).rpc("erp_apply_stock", levels=levels, complete=False)
    stage.api.tell(f"{answer['applied']} products at {_PLENTY} units; what is promised to open orders stays")
    expect(
        (answer["applied"], answer["unknown_skus"]) == (len(ITEMS), []), "every product of the order is known"
    )


def sign_in(stage: Stage) -> Caller:
    """E-mail and password."""
    stage.narrator.step(f"{PARTNER} signs in")
    email = partner_email(PARTNER)
    answer = stage.api.caller().rpc("login", email=email, password=PASSWORD)
    stage.api.tell(f"{email}: role {answer['role']}, token until {answer['expires_at'][11:16]} UTC")
    expect(answer["role"] == "partner", "the role is partner")
    stage.ids["partner"] = answer["subject_id"]
    return stage.api.caller(answer["access_token"])


def clear_away(stage: Stage, partner: Caller) -> None:
    """Cancel what a story left open that broke off: its credit and its stock come back."""
    open_states = ["SUBMITTED", "PROCESSING", "APPROVED"]
    for order in partner.rows("orders", "id,order_number", notes=NOTE, status=open_states):
        partner.rpc("cancel_order", order_id=order["id"], reason="Demo terputus")
        stage.api.tell(f"{order['order_number']}, left by a demo that broke off, is cancelled")


def look_around(stage: Stage, partner: Caller) -> None:
    """His account, and three products at his price."""
    stage.narrator.step("He sees his account, and products at his own price")
    me = partner.row("me")
    stage.api.tell(
        f"tier {me['tier']}, credit limit {rupiah(me['credit_limit'])}, "
        f"left {rupiah(me['credit_left'])}, {me['point_balance']} points"
    )
    skus = [item["sku"] for item in ITEMS]
    columns = "sku,name,price,min_qty_discount,discount_price,retail_price,display_stock"
    products = partner.rows("products", columns, order="sku", sku=skus)
    stage.api.tell(
        "\n".join(
            f"{p['sku']:15} {p['name']}: {rupiah(p['price'])}"
            f" (from {round(p['min_qty_discount'])}: {rupiah(p['discount_price'])};"
            f" retail {rupiah(p['retail_price'])}), {p['display_stock']} in stock"
            for p in products
        )
    )
    expect(len(products) == len(ITEMS), "his catalogue shows the three products")
    expect(all(p["price"] < p["retail_price"] for p in products), "he pays less than the end customer")
    expect(me["tier"] == "GOLD", f"{PARTNER} is GOLD")


def quote(stage: Stage, partner: Caller) -> Row:
    """What it would cost; nothing is written."""
    stage.narrator.step("He asks what his basket costs")
    answer: Row = partner.rpc("quote_order", items=ITEMS)
    lines = [
        f"{line['quantity']:3} x {line['name']}: {rupiah(line['unit_price'])} = {rupiah(line['line_total'])}"
        for line in answer["lines"]
    ]
    total = (
        f"subtotal {rupiah(answer['subtotal'])}, quantity discount {rupiah(answer['discount_amount'])}, "
        f"total {rupiah(answer['grand_total'])}; promises {answer['points_promised']} points"
    )
    stage.api.tell("\n".join([*lines, total]))
    expect(all(line["in_stock"] for line in answer["lines"]), "everything is in stock")
    expect(answer["discount_amount"] > 0, "the quantity earns a discount")
    expect(not answer["is_over_limit"], "his credit is enough")
    return answer


def refused(stage: Stage, partner: Caller) -> None:
    """Two things that he cannot have."""
    stage.narrator.step("What cannot be is refused, with a stable code")
    balance = partner.row("me", "point_balance")["point_balance"]
    for code, arguments in (
        ("POINTS_INSUFFICIENT", {"items": ITEMS, "points": balance + 1}),
        ("UNKNOWN_SKU", {"items": [{"sku": "KRN-EMAS-24K", "quantity": 1}]}),
    ):
        body = partner.refusal("submit_order", **arguments, idempotency_key=str(uuid.uuid4()))
        stage.api.tell(f'{{"code": "{body.get("code")}", "details": "{body.get("details")}"}}')
        expect((body.get("code"), stage.api.status) == (code, 422), f"{code} with status 422")


def submit(stage: Stage, partner: Caller, quoted: Row) -> Row:
    """The order; said twice, it is one order."""
    stage.narrator.step("He orders")
    key = str(uuid.uuid4())
    order: Row = partner.rpc("submit_order", items=ITEMS, notes=NOTE, idempotency_key=key)
    left = partner.row("me", "credit_left")["credit_left"]
    again = partner.rpc("submit_order", items=ITEMS, notes=NOTE, idempotency_key=key)
    stage.api.tell(
        f"{order['order_number']}: {order['status']}, total {rupiah(order['grand_total'])}\n"
        f"credit left {rupiah(left)}, {order['points_earned']} points promised\n"
        "the same call with the same idempotency_key returns the same order"
    )
    expect(order["status"] == "SUBMITTED", "the order is SUBMITTED")
    expect(order["grand_total"] == quoted["grand_total"], "the order costs what the quote said")
    expect(order["points_earned"] == quoted["points_promised"] > 0, "the order promises what the quote did")
    expect(left == quoted["credit_left"] - quoted["grand_total"], "the order uses credit")
    expect(again["id"] == order["id"], "the same key returns the same order")
    return order
