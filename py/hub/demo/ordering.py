"""The partner's steps: prices, quote, refusals, the order."""

import uuid

from hub.demo.api import Caller, Row
from hub.demo.context import ERP_ID, DemoContext
from hub.demo.narrator import expect, rupiah
from hub.seed import PASSWORD
from hub.seed.dataset import partner_email

PARTNER = "Salon Melati Bogor"
NOTE = "Pesanan demo: mohon dikirim pagi."
"""Identifies orders of a demo that was interrupted."""

ITEMS = [
    {"sku": "KRN-PRM-08", "quantity": 24},
    {"sku": "MLT-MSK-03-1KG", "quantity": 4},
    {"sku": "MLT-SHP-02-1L", "quantity": 6},
]
STOCK = 1000
"""Units of each product before the order."""


def enter_stock(demo: DemoContext, admin: Caller) -> None:
    """Enter enough stock for the order, however often the demo ran before."""
    demo.narrator.step("Headquarters enters the stock")
    products = admin.rows("products", "id", sku=[item["sku"] for item in ITEMS])
    rows = [{"product_id": product["id"], "erp_stock": STOCK} for product in products]
    answer = admin.upsert("inventory", rows, on_conflict="product_id")
    demo.api.narrate(
        f"{len(answer)} products at {STOCK} units; stock reserved for open orders stays reserved"
    )
    expect(len(answer) == len(ITEMS), "every product of the order is known")


def restock(demo: DemoContext) -> None:
    """Report enough stock for the order as the ERP adapter does."""
    demo.narrator.step("The ERP reports its stock")
    levels = [{"sku": item["sku"], "quantity": STOCK} for item in ITEMS]
    answer = demo.service("erp", ERP_ID).rpc("erp_apply_stock", levels=levels, complete=False)
    demo.api.narrate(
        f"{answer['applied']} products at {STOCK} units; stock reserved for open orders stays reserved"
    )
    expect(
        (answer["applied"], answer["unknown_skus"]) == (len(ITEMS), []), "every product of the order is known"
    )


def sign_in(demo: DemoContext) -> Caller:
    """Sign the partner in by e-mail and password."""
    demo.narrator.step(f"{PARTNER} signs in")
    email = partner_email(PARTNER)
    answer = demo.api.caller().rpc("login", email=email, password=PASSWORD)
    demo.api.narrate(f"{email}: role {answer['role']}, token until {answer['expires_at'][11:16]} UTC")
    expect(answer["role"] == "partner", "the role is partner")
    demo.ids["partner"] = answer["subject_id"]
    return demo.api.caller(answer["access_token"])


def cancel_leftovers(demo: DemoContext, partner: Caller) -> None:
    """Cancel open orders of an interrupted demo, which releases their credit and stock."""
    open_states = ["SUBMITTED", "PROCESSING", "APPROVED"]
    for order in partner.rows("orders", "id,order_number", notes=NOTE, status=open_states):
        partner.rpc("cancel_order", order_id=order["id"], reason="Demo terputus")
        demo.api.narrate(f"{order['order_number']}, left by an interrupted demo, is cancelled")


def show_account(demo: DemoContext, partner: Caller) -> None:
    """The partner's account, and three products at their price."""
    demo.narrator.step("The partner reads their account, and products at their own price")
    me = partner.row("me")
    demo.api.narrate(
        f"tier {me['tier']}, credit limit {rupiah(me['credit_limit'])}, "
        f"left {rupiah(me['credit_left'])}, {me['point_balance']} points"
    )
    skus = [item["sku"] for item in ITEMS]
    columns = "sku,name,price,min_qty_discount,discount_price,retail_price,display_stock"
    products = partner.rows("products", columns, order="sku", sku=skus)
    demo.api.narrate(
        "\n".join(
            f"{p['sku']:15} {p['name']}: {rupiah(p['price'])}"
            f" (from {round(p['min_qty_discount'])}: {rupiah(p['discount_price'])};"
            f" retail {rupiah(p['retail_price'])}), {p['display_stock']} in stock"
            for p in products
        )
    )
    expect(len(products) == len(ITEMS), "the catalogue shows the three products")
    expect(
        all(p["price"] < p["retail_price"] for p in products), "the partner pays less than the retail price"
    )
    expect(me["tier"] == "GOLD", f"{PARTNER} is GOLD")


def quote(demo: DemoContext, partner: Caller) -> Row:
    """Quote the order; a quote writes nothing."""
    demo.narrator.step("The partner asks for a quote")
    answer: Row = partner.rpc("quote_order", items=ITEMS)
    lines = [
        f"{line['quantity']:3} x {line['name']}: {rupiah(line['unit_price'])} = {rupiah(line['line_total'])}"
        for line in answer["lines"]
    ]
    total = (
        f"subtotal {rupiah(answer['subtotal'])}, quantity discount {rupiah(answer['discount_amount'])}, "
        f"total {rupiah(answer['grand_total'])}; earns {answer['points_promised']} points once paid"
    )
    demo.api.narrate("\n".join([*lines, total]))
    expect(all(line["in_stock"] for line in answer["lines"]), "everything is in stock")
    expect(answer["discount_amount"] > 0, "the quantity earns a discount")
    expect(not answer["is_over_limit"], "the credit limit is not reached")
    return answer


def show_refusals(demo: DemoContext, partner: Caller) -> None:
    """Two calls that the API refuses."""
    demo.narrator.step("Invalid calls are refused with a stable code")
    balance = partner.row("me", "point_balance")["point_balance"]
    for code, arguments in (
        ("POINTS_INSUFFICIENT", {"items": ITEMS, "points": balance + 1}),
        ("UNKNOWN_SKU", {"items": [{"sku": "KRN-EMAS-24K", "quantity": 1}]}),
    ):
        body = partner.refusal("submit_order", **arguments, idempotency_key=str(uuid.uuid4()))
        demo.api.narrate(f'{{"code": "{body.get("code")}", "details": "{body.get("details")}"}}')
        expect((body.get("code"), demo.api.status) == (code, 422), f"{code} with status 422")


def submit(demo: DemoContext, partner: Caller, quoted: Row) -> Row:
    """Submit the order twice with one idempotency key: it is one order."""
    demo.narrator.step("The partner submits the order")
    key = str(uuid.uuid4())
    order: Row = partner.rpc("submit_order", items=ITEMS, notes=NOTE, idempotency_key=key)
    left = partner.row("me", "credit_left")["credit_left"]
    again = partner.rpc("submit_order", items=ITEMS, notes=NOTE, idempotency_key=key)
    demo.api.narrate(
        f"{order['order_number']}: {order['status']}, total {rupiah(order['grand_total'])}\n"
        f"credit left {rupiah(left)}, {order['points_earned']} points to earn\n"
        "the same call with the same idempotency_key returns the same order"
    )
    expect(order["status"] == "SUBMITTED", "the order is SUBMITTED")
    expect(order["grand_total"] == quoted["grand_total"], "the order costs the quoted total")
    expect(order["points_earned"] == quoted["points_promised"] > 0, "the order promises the quoted points")
    expect(left == quoted["credit_left"] - quoted["grand_total"], "the order uses credit")
    expect(again["id"] == order["id"], "the same key returns the same order")
    return order
