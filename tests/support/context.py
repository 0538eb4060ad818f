"""A small context (regions, partners, agents, products) and calls of the API in SQL."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from hub.check import Finding, check

Connection = psycopg.Connection[Any]


class RefusedError(Exception):
    """A refused call; `code` is one of docs/reference/error-codes.md."""

    def __init__(
        self, code: str, details: str | None = None, status: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details
        self.status = status
        self.hint = hint

    @classmethod
    def of(cls, error: psycopg.Error) -> "RefusedError":
        """The refusal that the gateway makes of an error with SQLSTATE PGRST."""
        body = json.loads(error.diag.message_primary or "{}")
        status = json.loads(error.diag.message_detail or "{}")["status"]
        return cls(body["code"], body["details"], status, body["hint"])


@dataclass(frozen=True)
class Caller:
    """A database role with the claims of its token."""

    role: str
    sub: str | None = None
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def claims(self) -> str:
        return json.dumps({"role": self.role, "sub": self.sub} | self.extra)


def call(conn: Connection, who: Caller, function: str, **arguments: Any) -> Any:
    """Call `api.<function>` as `who`, as PostgREST does, and return its JSON.

    The call is a transaction on an idle connection, else a savepoint. Raises RefusedError.
    """
    named = sql.SQL(", ").join(sql.SQL("{} => %s").format(sql.Identifier(name)) for name in arguments)
    query = sql.SQL("select to_jsonb(r)::text from {}({}) as r").format(
        sql.Identifier("api", function), named
    )
    values = [
        Jsonb(v) if isinstance(v, list | dict) or name == "config_value" else v
        for name, v in arguments.items()
    ]
    try:
        with conn.transaction():
            conn.execute(
                "select set_config('request.jwt.claims', %s, true), set_config('role', %s, true)",
                [who.claims, who.role],
            )
            conn.execute("select auth.request_guard()")
            row = conn.execute(query, values).fetchone()
            conn.execute(
                "select set_config('role', 'none', true), set_config('request.jwt.claims', '', true)"
            )
    except psycopg.Error as error:
        if error.sqlstate != "PGRST":
            raise
        raise RefusedError.of(error) from None
    return _decoded(row[0]) if row else None


def _decoded(text: str | None) -> Any:
    """The JSON value, with numbers that have a fraction as Decimal."""
    return json.loads(text, parse_float=Decimal) if text else None


def refusal(conn: Connection, who: Caller, function: str, **arguments: Any) -> str:
    """The code with which a call is refused, "" if it succeeds."""
    try:
        call(conn, who, function, **arguments)
    except RefusedError as refused:
        return refused.code
    return ""


class HasAdmin(Protocol):
    """A context or data set with an admin of headquarters."""

    @property
    def admin(self) -> Caller: ...


@dataclass
class Context:
    """Callers and master data. Region `bandung` is part of `jabar`, which has two sub-distributors."""

    admin: Caller
    admin2: Caller
    agents: list[Caller]
    partners: list[Caller]
    subdists: list[Caller]
    skus: list[str]
    products: dict[str, str]
    rewards: list[str]
    regions: dict[str, str]
    erp: Caller = field(default_factory=lambda: Caller("erp", str(uuid.uuid4())))


def new_id(conn: Connection, statement: str, *values: Any) -> str:
    """Insert a row and return its id."""
    row = conn.execute(statement + " returning id", values).fetchone()
    assert row
    return str(row[0])


def make_context(
    conn: Connection,
    *,
    partners: int = 3,
    products: int = 5,
    stock: int = 1000,
    credit: int = 100_000_000,
    erp: str = "none",
) -> Context:
    """Insert a context as the owner of the tables; commits if the connection is idle. `erp` is erp.kind."""
    with conn.transaction():
        if erp != "none":
            conn.execute(
                "update app.system_configs set config_value = to_jsonb(%s::text)"
                " where config_key = 'erp.kind'",
                [erp],
            )
        return _make_context(conn, partners, products, stock, credit)


def _make_context(conn: Connection, partners: int, products: int, stock: int, credit: int) -> Context:
    regions: dict[str, str] = {}
    for name, parent in (("id", None), ("jabar", "id"), ("bandung", "jabar"), ("papua", None)):
        regions[name] = new_id(
            conn,
            "insert into app.regions (name, code, parent_region_id) values (%s, %s, %s)",
            name.title(),
            f"W-{name.upper()}",
            regions[parent] if parent else None,
        )
    agents = [
        new_id(
            conn,
            "insert into app.agents (email, password_hash, full_name, phone, role, region_id)"
            " values (%s, 'x', %s, %s, %s, %s)",
            f"{name}@hub.test",
            name.title(),
            f"+62811000{i:04}",
            role,
            regions["id"] if role == "SALESMAN" else None,
        )
        for i, (name, role) in enumerate(
            [("ani", "ADMIN"), ("budi", "ADMIN"), ("citra", "SALESMAN"), ("dedi", "SALESMAN")]
        )
    ]
    subdists = [
        new_id(
            conn,
            "insert into app.sub_distributors (region_id, business_name, whatsapp_number)"
            " values (%s, %s, %s)",
            regions["jabar"],
            f"CV {name}",
            f"+62812000{i:04}",
        )
        for i, name in enumerate(("Sinar", "Makmur"))
    ]
    # Of two that are equally busy, the hub chooses the smaller id, which is random within a millisecond.
    subdists.sort()
    partner_ids = [
        new_id(
            conn,
            "insert into app.partners"
            " (email, phone, password_hash, business_name, tier, region_id, credit_limit)"
            " values (%s, %s, 'x', %s, %s, %s, %s)",
            f"salon{i}@hub.test",
            f"+62813{i:07}",
            f"Salon {i}",
            ("SILVER", "GOLD", "PLATINUM")[i % 3],
            regions["bandung"],
            credit,
        )
        for i in range(partners)
    ]
    product_ids: dict[str, str] = {}
    for i in range(products):
        sku = f"SKU-{i:03}"
        product_ids[sku] = new_id(
            conn,
            "insert into app.products (sku, name, base_price) values (%s, %s, %s)",
            sku,
            f"Shampoo {i}",
            100_000 + 25_000 * i,
        )
    with as_owner(conn):  # as a sync does, which the audit trail leaves out
        conn.execute(
            "update app.inventory set erp_stock = %s, last_sync_at = now()"
            " where product_id = any (%s::uuid[])",
            [stock, list(product_ids.values())],
        )
    rewards = [
        new_id(
            conn,
            "insert into app.redemption_catalog (name, points_required, stock_available) values (%s, %s, %s)",
            name,
            points,
            units,
        )
        for name, points, units in (("Gunting", 50, 3), ("Kursi", 400, 1))
    ]
    return Context(
        admin=Caller("admin", agents[0]),
        admin2=Caller("admin", agents[1]),
        agents=[Caller("agent", a) for a in agents[2:]],
        partners=[Caller("partner", p) for p in partner_ids],
        subdists=[Caller("subdist", s) for s in subdists],
        skus=list(product_ids),
        products=product_ids,
        rewards=rewards,
        regions=regions,
    )


def shadow(conn: Connection, agent: Caller, partner: Caller) -> Caller:
    """The agent acting for the partner, with the claims of the token of start_shadow_session."""
    session = call(conn, agent, "start_shadow_session", partner_id=partner.sub)
    return Caller("partner", partner.sub, {"act": {"sub": agent.sub}, "sid": session["session_id"]})


def items(**quantities: int) -> list[dict[str, Any]]:
    """The items of an order, written as `items(SKU_000=2)`."""
    return [{"sku": sku.replace("_", "-"), "quantity": n} for sku, n in quantities.items()]


def line(sku: str, quantity: int) -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity}


def submit(conn: Connection, who: Caller, lines: list[dict[str, Any]], points: int = 0) -> dict[str, Any]:
    """Submit an order with a new idempotency key."""
    order: dict[str, Any] = call(
        conn, who, "submit_order", items=lines, points=points, idempotency_key=str(uuid.uuid4())
    )
    return order


def set_config(conn: Connection, context: HasAdmin, key: str, config_value: Any) -> None:
    """Change a config key as an admin."""
    call(conn, context.admin, "set_config", config_key=key, config_value=config_value)


def trust_proxies(conn: Connection, *networks: str) -> None:
    """Set `auth.trusted_proxies`, by default to 10.0.0.0/8, so that X-Forwarded-For is believed."""
    conn.execute(
        "update app.system_configs set config_value = %s where config_key = 'auth.trusted_proxies'",
        [Jsonb(networks or ["10.0.0.0/8"])],
    )


def grant_points(conn: Connection, context: HasAdmin, partner: Caller, points: int) -> None:
    """Correct a partner's points as an admin, with a new idempotency key."""
    adjust_points(conn, context.admin, partner, points, "hadiah")


def adjust_points(conn: Connection, admin: Caller, partner: Caller, points: int, reason: str) -> Any:
    """Correct a partner's points with a new idempotency key."""
    return call(
        conn,
        admin,
        "adjust_points",
        partner_id=partner.sub,
        points=points,
        reason=reason,
        idempotency_key=str(uuid.uuid4()),
    )


def value(conn: Connection, query: str, *values: Any) -> Any:
    """The first column of the first row."""
    row = conn.execute(query, values or None).fetchone()
    assert row
    return row[0]


@contextmanager
def as_owner(conn: Connection) -> Iterator[None]:
    """Run statements as the owner of the transition functions, whom their guards let through."""
    conn.execute("set role hub_owner")
    try:
        yield
    finally:
        if conn.info.transaction_status != psycopg.pq.TransactionStatus.INERROR:
            conn.execute("reset role")


def routed_subdist(conn: Connection, order: dict[str, Any]) -> Caller:
    """The sub-distributor to which the order is routed at the moment."""
    return Caller(
        "subdist", str(value(conn, "select routed_to_subdist_id from app.orders where id = %s", order["id"]))
    )


def other_subdist(conn: Connection, context: Context, order: dict[str, Any]) -> Caller:
    """A sub-distributor of the context to which the order is not routed at the moment."""
    routed = routed_subdist(conn, order)
    return next(subdist for subdist in context.subdists if subdist != routed)


def approve(conn: Connection, context: HasAdmin, order: dict[str, Any]) -> dict[str, Any]:
    """Accept the order as its sub-distributor and approve it as an admin; returns the invoice."""
    call(conn, routed_subdist(conn, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    call(conn, context.admin, "approve_order", order_id=order["id"])
    return invoice_of(conn, order)


def invoice_of(conn: Connection, order: dict[str, Any]) -> dict[str, Any]:
    """The newest invoice of an order."""
    text = value(
        conn,
        "select to_jsonb(i)::text from app.invoices i where order_id = %s order by id desc limit 1",
        order["id"],
    )
    found: dict[str, Any] = _decoded(text)
    return found


def pay(
    conn: Connection,
    context: HasAdmin,
    invoice: dict[str, Any],
    amount: Any = None,
    reference: str | None = None,
) -> Any:
    """Record a payment, by default of the whole amount and with a new reference."""
    return call(
        conn,
        context.admin,
        "record_payment",
        invoice_id=invoice["id"],
        amount=amount if amount is not None else invoice["amount"],
        reference_number=reference or str(uuid.uuid4()),
    )


def broken_invariants(conn: Connection, *, since: str | None = None) -> dict[str, list[str]]:
    """The violated invariants with the details of the rows that violate them."""
    findings: list[Finding] = check(conn, since)
    return {f.invariant: [row["details"] for row in f.offending] for f in findings if f.rows}
