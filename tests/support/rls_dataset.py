"""A data set for tests of row security: two partners, regions, sub-distributors and agents, and their rows.

Calls of the API create it, so that every table holds rows of both. West is Jawa Barat with Bandung below
it, east is Papua; each side has a partner, a sub-distributor, an agent and their transactions.
"""

import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.support.context import Caller, Connection, approve, call, items, new_id, pay, shadow, submit, value
from tests.support.invoices import make_overdue
from tests.support.queries import vest_points

PASSWORD = "rahasia-sekali"


@dataclass
class Side:
    """A partner, an agent and a sub-distributor of one half of the country, with their transactions."""

    partner: Caller
    agent: Caller
    subdist: Caller
    number: str
    email: str
    regions: list[str]
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    invoices: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class RlsDataset:
    """Both sides, and the callers who belong to neither."""

    west: Side
    east: Side
    admin: Caller
    superadmin: Caller
    deleted: Caller
    """A deleted partner of the west, with a delivered and a cancelled order."""
    rewards: list[str]
    erp: Caller = field(default_factory=lambda: Caller("erp", str(uuid.uuid4())))
    messenger: Caller = field(default_factory=lambda: Caller("messenger", str(uuid.uuid4())))

    @property
    def sides(self) -> list[Side]:
        return [self.west, self.east]


def _person(conn: Connection, table: str, name: str, **columns: Any) -> str:
    row = {"email": f"{name}@hub.test", "password_hash": value(conn, _HASH, PASSWORD)} | columns
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    return new_id(conn, f"insert into app.{table} ({names}) values ({marks})", *row.values())


_HASH = "select extensions.crypt(%s, extensions.gen_salt('bf', 4))"


def _region(conn: Connection, name: str, parent: str | None = None) -> str:
    return new_id(
        conn,
        "insert into app.regions (name, code, parent_region_id) values (%s, %s, %s)",
        name,
        name.upper(),
        parent,
    )


def _partner(conn: Connection, name: str, tier: str, region: str, phone: str) -> Caller:
    partner = _person(
        conn,
        "partners",
        name,
        business_name=f"Salon {name.title()}",
        tier=tier,
        region_id=region,
        phone=phone,
        credit_limit=Decimal(50_000_000),
        address=f"Jalan {name.title()} 1",
    )
    return Caller("partner", partner)


def _agent(conn: Connection, name: str, role: str, region: str | None = None) -> str:
    return _person(conn, "agents", name, full_name=name.title(), role=role, region_id=region)


def _side(
    conn: Connection, partner: Caller, agent: str, email: str, number: str, home: str, regions: list[str]
) -> Side:
    subdist = new_id(
        conn,
        "insert into app.sub_distributors (region_id, business_name, whatsapp_number) values (%s, %s, %s)",
        home,
        f"CV {number}",
        number,
    )
    return Side(partner, Caller("agent", agent), Caller("subdist", subdist), number, email, regions)


def _catalogue(conn: Connection) -> list[str]:
    """Products of two brands: SKU-001 to 004 are active, SKU-OLD is withdrawn later, SKU-OFF never sold."""
    brands = [
        new_id(conn, "insert into app.brands (name, is_active) values (%s, %s)", name, active)
        for name, active in (("Alfaparf", True), ("Lama", False))
    ]
    parent = new_id(conn, "insert into app.categories (name, slug) values ('Perawatan', 'perawatan')")
    child = new_id(
        conn, "insert into app.categories (name, slug, parent_id) values ('Sampo', 'sampo', %s)", parent
    )
    for i, sku in enumerate(("SKU-001", "SKU-002", "SKU-003", "SKU-004", "SKU-OLD", "SKU-OFF")):
        product = new_id(
            conn,
            "insert into app.products (sku, name, brand_id, category_id, base_price, is_active)"
            " values (%s, %s, %s, %s, %s, %s)",
            sku,
            f"Sampo {i}",
            brands[i % 2],
            child,
            250_000 + 50_000 * i,
            sku != "SKU-OFF",
        )
        conn.execute(
            "update app.inventory set erp_stock = 1000, safety_buffer = 7, last_sync_at = now()"
            " where product_id = %s",
            [product],
        )
        conn.execute(
            "insert into app.tier_prices (product_id, tier, price, effective_from)"
            " select %s, t, 200000 + 50000 * %s - 10000 * o, now() - interval '1 year'"
            " from unnest(enum_range(null::app.tier_enum)) with ordinality as u (t, o)",
            [product, i],
        )
    return [
        new_id(
            conn,
            "insert into app.redemption_catalog (name, points_required, stock_available, is_active)"
            " values (%s, %s, 20, %s)",
            name,
            points,
            name != "Tidak ada",
        )
        for name, points in (("Gunting", 10), ("Sisir", 5), ("Tidak ada", 1))
    ]


def _transact(conn: Connection, dataset: RlsDataset, side: Side) -> None:
    """Make every kind of transaction of a partner, their agent and their sub-distributor."""
    partner = side.partner
    side.orders["draft"] = call(conn, partner, "save_draft", items=items(SKU_001=1), notes="nanti")
    paid = submit(conn, partner, items(SKU_001=4, SKU_OLD=2))
    invoice = approve(conn, dataset, paid)
    half = Decimal(invoice["amount"]) / 2
    pay(conn, dataset, invoice, half, f"TRF-{partner.sub}-1")
    pay(conn, dataset, invoice, half, f"TRF-{partner.sub}-2")
    vest_points(conn)
    side.orders["paid"], side.invoices["paid"] = paid, invoice
    _correct(conn, dataset, side)
    billed = submit(conn, partner, items(SKU_002=3), points=2)
    side.orders["billed"], side.invoices["billed"] = billed, approve(conn, dataset, billed)
    make_overdue(conn, side.invoices["billed"], 20)
    side.orders["submitted"] = submit(conn, partner, items(SKU_003=2))
    side.orders["cancelled"] = submit(conn, partner, items(SKU_004=1))
    call(conn, partner, "cancel_order", order_id=side.orders["cancelled"]["id"], reason="salah pesan")
    call(conn, partner, "redeem_reward", reward_id=dataset.rewards[0], idempotency_key="hadiah")
    acting = shadow(conn, side.agent, partner)
    side.orders["shadow"] = submit(conn, acting, items(SKU_004=2))
    call(conn, Caller("anon"), "login", email=side.email, password=PASSWORD)
    call(conn, Caller("anon"), "request_link", whatsapp_number=side.number)
    payload = {"entry": [{"changes": [{"value": {"messages": [_inbound_text(side)]}}]}]}
    call(conn, dataset.messenger, "inbound_message", payload=payload)


def _correct(conn: Connection, dataset: RlsDataset, side: Side) -> None:
    """Ship and take back a line, reverse a payment, refund and write off."""
    shipped = submit(conn, side.partner, items(SKU_001=1, SKU_002=2))
    invoice = approve(conn, dataset, shipped)
    mistyped = pay(conn, dataset, invoice, 1000, "SALAH")
    call(conn, dataset.admin, "reverse_payment", payment_id=mistyped["payment_id"], reason="salah ketik")
    pay(conn, dataset, invoice, invoice["amount"] - 2500, "BENAR")
    call(conn, dataset.admin, "write_off", invoice_id=invoice["id"], reason="biaya bank")
    call(conn, dataset.admin, "ship_order", order_id=shipped["id"])
    returned = {"order_id": shipped["id"], "items": items(SKU_001=1), "reason": "rusak"}
    call(conn, dataset.admin, "return_items", **returned, idempotency_key=f"retur {shipped['id']}")
    refund = {"invoice_id": invoice["id"], "amount": 1000, "reference_number": "KEMBALI"}
    call(conn, dataset.admin, "record_refund", **refund, reason="retur")
    vest_points(conn)
    side.orders["returned"], side.invoices["returned"] = shipped, invoice


def _inbound_text(side: Side) -> dict[str, Any]:
    body = {"body": "Halo"}
    sender = {"from": side.number.lstrip("+"), "timestamp": "1763884800"}
    return {"id": f"wamid.{side.email}", "type": "text", "text": body} | sender


def make_rls_dataset(conn: Connection) -> RlsDataset:
    """Create the data set; commits if the connection is idle."""
    with conn.transaction():
        jabar = _region(conn, "jabar")
        bandung = _region(conn, "bandung", jabar)
        papua = _region(conn, "papua")
        west = _partner(conn, "anggrek", "SILVER", bandung, "+628131000001")
        east = _partner(conn, "melati", "GOLD", papua, "+628131000002")
        deleted = _partner(conn, "mawar", "PLATINUM", bandung, "+628131000003")
        agents = [_agent(conn, "ani", "SALESMAN", jabar), _agent(conn, "petrus", "SALESMAN", papua)]
        dataset = RlsDataset(
            west=_side(conn, west, agents[0], "anggrek@hub.test", "+628121000001", bandung, [jabar, bandung]),
            east=_side(conn, east, agents[1], "melati@hub.test", "+628121000002", papua, [papua]),
            admin=Caller("admin", _agent(conn, "adi", "ADMIN")),
            superadmin=Caller("superadmin", _agent(conn, "ratna", "SUPERADMIN")),
            deleted=deleted,
            rewards=_catalogue(conn),
        )
        for side in dataset.sides:
            _transact(conn, dataset, side)
        last = submit(conn, deleted, items(SKU_003=1))
        pay(conn, dataset, approve(conn, dataset, last))
        for move in ("ship_order", "complete_order"):
            call(conn, dataset.admin, move, order_id=last["id"])
        late = submit(conn, deleted, items(SKU_001=1))
        conn.execute("update app.products set is_active = false where sku = 'SKU-OLD'")
        conn.execute("update app.redemption_catalog set is_active = false where name = 'Gunting'")
        call(conn, dataset.superadmin, "set_config", config_key="sla.reminder_hours", config_value=17)
        call(conn, dataset.messenger, "process_inbox")
        conn.execute(
            "update app.orders set routed_at = now() - interval '30 hours' where status = 'SUBMITTED'"
            " and routed_to_subdist_id is not null and last_response_at is null"
        )
        conn.execute("select jobs.sweep_service_level()")
        vest_points(conn)
        call(conn, deleted, "cancel_order", order_id=late["id"])
        call(conn, dataset.admin, "delete_partner", partner_id=deleted.sub, reason="toko tutup")
        conn.execute("select app.flush_audit_buffer()")
        conn.execute("select jobs.refresh_statistics()")
    return dataset
