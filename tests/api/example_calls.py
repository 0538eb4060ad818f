"""A valid call of every RPC, from which the invalid calls derive, one mistake each."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.api.conftest import ApiClient
from tests.support.context import Caller, Connection, call, value
from tests.support.rls_dataset import PASSWORD


@dataclass(frozen=True)
class Call:
    """The caller, the kinds of the arguments, and valid values."""

    role: str
    kinds: dict[str, str]
    good: Callable[["Preconditions"], dict[str, Any]] = lambda _: {}
    twice: bool = True
    """Whether the valid call may be repeated."""

    def caller(self, api: ApiClient) -> Caller:
        dataset = api.dataset
        return {
            "anon": Caller("anon"),
            "partner": dataset.west.partner,
            "agent": dataset.west.agent,
            "subdist": dataset.west.subdist,
            "admin": dataset.admin,
            "superadmin": dataset.superadmin,
            "erp": dataset.erp,
            "messenger": dataset.messenger,
        }[self.role]


class Preconditions:
    """Creates the rows that a valid call needs: an order in some status, an open invoice, a message."""

    def __init__(self, api: ApiClient, conn: Connection) -> None:
        self.api = api
        self.conn = conn
        self.dataset = api.dataset

    def rpc(self, who: Caller, name: str, **arguments: Any) -> Any:
        return call(self.conn, who, name, **arguments)

    def order(self, *moves: str) -> str:
        order = self.api.submit(self.dataset.west.partner)["id"]
        for move in moves:
            if move == "respond_order":
                self.rpc(self.dataset.west.subdist, move, order_id=order, decision="ACCEPT")
            else:
                self.rpc(self.dataset.admin, move, order_id=order)
        return str(order)

    def over_limit(self) -> str:
        self.conn.execute(
            "update app.partners set credit_limit = 1 where id = %s", [self.dataset.west.partner.sub]
        )
        order = self.order()
        self.conn.execute(
            "update app.partners set credit_limit = 900000000 where id = %s", [self.dataset.west.partner.sub]
        )
        return order

    def draft(self) -> str:
        items = [{"sku": "SKU-001", "quantity": 1}]
        return str(self.rpc(self.dataset.west.partner, "save_draft", items=items)["id"])

    def invoice(self, column: str = "id") -> str:
        order = self.order("respond_order", "approve_order")
        return str(value(self.conn, f"select {column} from app.invoices where order_id = %s", order))

    def unbilled_order(self) -> str:
        order = self.order("respond_order", "approve_order")
        invoice = value(self.conn, "select id from app.invoices where order_id = %s", order)
        self.rpc(self.dataset.admin, "cancel_invoice", invoice_id=str(invoice), reason="x")
        return order

    def payment(self, all_but: int = 1000) -> str:
        """A payment of a new invoice that leaves so much due, in rupiah."""
        invoice = self.invoice()
        due = value(self.conn, "select amount_due from app.invoices where id = %s", invoice)
        paid = {"invoice_id": invoice, "amount": due - all_but, "idempotency_key": key()}
        return str(self.rpc(self.dataset.admin, "record_payment", **paid)["payment_id"])

    def almost_paid_invoice(self) -> str:
        payment = self.payment()
        return str(value(self.conn, "select invoice_id from app.invoice_payments where id = %s", payment))

    def overpaid_invoice(self) -> str:
        invoice = self.almost_paid_invoice()
        self.rpc(self.dataset.admin, "cancel_invoice", invoice_id=invoice, reason="x")
        return invoice

    def rejected_order(self) -> str:
        order = self.order("respond_order", "approve_order")
        self.rpc(self.dataset.admin, "reject_order", order_id=order, reason="x")
        return order

    def partner_with_points(self) -> str:
        self.rpc(
            self.dataset.admin,
            "adjust_points",
            partner_id=self.dataset.west.partner.sub,
            points=50,
            reason="x",
            idempotency_key=key(),
        )
        return str(self.dataset.west.partner.sub)

    def reward(self) -> str:
        """A reward, and enough points to redeem it."""
        self.partner_with_points()
        return self.dataset.rewards[1]

    def redemption(self) -> str:
        key = str(uuid.uuid4())
        return str(
            self.rpc(
                self.dataset.west.partner, "redeem_reward", reward_id=self.reward(), idempotency_key=key
            )["id"]
        )

    def message(self, provider_id: str | None = None) -> str:
        message = str(
            value(
                self.conn,
                "select app.enqueue_message('inbound_text', 'AGENT', %s)",
                self.dataset.west.agent.sub,
            )
        )
        if provider_id:
            self.rpc(self.dataset.messenger, "message_sent", message_id=message, provider_id=provider_id)
        return message

    def settled_partner(self) -> str:
        """A partner who has never ordered."""
        return str(
            value(
                self.conn,
                "insert into app.partners (email, password_hash, business_name, phone) values"
                " (gen_random_uuid() || '@hub.test', '!', 'Salon Tutup',"
                " '+62819' || right((extract(epoch from clock_timestamp()) * 1000)::bigint::text, 8))"
                " returning id",
            )
        )

    def escalation(self) -> str:
        return str(
            value(self.conn, "select id from app.sla_escalation_logs where acknowledged_at is null limit 1")
        )

    def link(self) -> str:
        conn = self.conn
        conn.execute("delete from app.messages where template = 'sign_in_link'")
        conn.execute("delete from auth.login_attempts")
        self.rpc(Caller("anon"), "request_link", whatsapp_number=self.dataset.west.number)
        return str(
            value(conn, "select variables ->> 'token' from app.messages where template = 'sign_in_link'")
        )

    def code(self) -> str:
        """A code with which the eastern partner can set a password."""
        conn = self.conn
        conn.execute("delete from app.messages where template = 'password_reset'")
        conn.execute("delete from auth.login_attempts")
        self.rpc(Caller("anon"), "request_password_reset", email=self.dataset.east.email)
        return str(
            value(conn, "select variables ->> 'token' from app.messages where template = 'password_reset'")
        )

    def session(self) -> dict[str, Any]:
        self.conn.execute("delete from auth.login_attempts")
        tokens: dict[str, Any] = self.rpc(
            Caller("anon"), "login", email=self.dataset.west.email, password=PASSWORD
        )
        return tokens


ITEMS = [{"sku": "SKU-001", "quantity": 1}]


def key() -> str:
    return str(uuid.uuid4())


CALLS = {
    "login": Call(
        "anon",
        {"email": "secret", "password": "secret", "role": "optional role"},
        lambda m: {"email": m.dataset.east.email, "password": PASSWORD, "role": "partner"},
    ),
    "refresh_session": Call(
        "anon", {"refresh_token": "secret"}, lambda m: {"refresh_token": m.session()["refresh_token"]}
    ),
    "request_link": Call(
        "anon", {"whatsapp_number": "text"}, lambda m: {"whatsapp_number": m.dataset.west.number}
    ),
    "redeem_link": Call("anon", {"token": "secret"}, lambda m: {"token": m.link()}),
    "request_password_reset": Call("anon", {"email": "text"}, lambda m: {"email": m.dataset.east.email}),
    "reset_password": Call(
        "anon",
        {"token": "secret", "new_password": "password"},
        lambda m: {"token": m.code(), "new_password": PASSWORD},
        twice=False,
    ),
    "me": Call("partner", {}),
    "logout": Call("partner", {}),
    "change_password": Call(
        "agent",
        {"current_password": "secret", "new_password": "password"},
        lambda _: {"current_password": PASSWORD, "new_password": PASSWORD},
    ),
    "quote_order": Call(
        "partner", {"items": "items", "points": "points"}, lambda _: {"items": ITEMS, "points": 0}
    ),
    "save_draft": Call(
        "partner", {"items": "items", "notes": "optional text"}, lambda _: {"items": ITEMS, "notes": "x"}
    ),
    "update_draft": Call(
        "partner",
        {"order_id": "id", "items": "items", "notes": "optional text"},
        lambda m: {"order_id": m.draft(), "items": ITEMS, "notes": "x"},
    ),
    "submit_order": Call(
        "partner",
        {
            "items": "items",
            "points": "points",
            "notes": "optional text",
            "idempotency_key": "text",
            "expected_total": "expected total",
        },
        lambda _: {
            "items": ITEMS,
            "points": 0,
            "notes": "x",
            "idempotency_key": key(),
            "expected_total": 1_000_000,
        },
    ),
    "submit_draft": Call(
        "partner",
        {"order_id": "id", "points": "points", "idempotency_key": "text", "expected_total": "expected total"},
        lambda m: {
            "order_id": m.draft(),
            "points": 0,
            "idempotency_key": key(),
            "expected_total": 1_000_000,
        },
    ),
    "cancel_order": Call(
        "partner",
        {"order_id": "id", "reason": "optional text"},
        lambda m: {"order_id": m.order(), "reason": "salah"},
    ),
    "update_profile": Call(
        "partner",
        {
            "address": "optional text",
            "phone": "optional phone",
            "salon_type": "optional word",
            "chair_count": "optional count",
            "specialization": "optional text",
        },
        lambda _: {
            "address": "Jl. Braga 12",
            "phone": "0813-1000-0001",
            "salon_type": "BARBER",
            "chair_count": 4,
            "specialization": "x" * 255,
        },
    ),
    "monthly_totals": Call("agent", {"months": "count"}, lambda _: {"months": 3}),
    "sla_lateness": Call("agent", {"months": "count"}, lambda _: {"months": 3}),
    "newest_orders": Call(
        "agent", {"n": "count", "before": "moment", "after": "optional id"}, lambda _: {"n": 5}
    ),
    "newest_order_events": Call(
        "agent", {"n": "count", "before": "moment", "after": "optional key"}, lambda _: {"n": 5}
    ),
    "newest_invoices": Call(
        "agent", {"n": "count", "before": "moment", "after": "optional id"}, lambda _: {"n": 5}
    ),
    "newest_payments": Call(
        "agent", {"n": "count", "before": "moment", "after": "optional id"}, lambda _: {"n": 5}
    ),
    "newest_credit_notes": Call("agent", {"n": "count", "after": "optional id"}, lambda _: {"n": 5}),
    "earliest_due_invoices": Call("agent", {"n": "count", "after": "optional id"}, lambda _: {"n": 5}),
    "redeem_reward": Call(
        "partner",
        {"reward_id": "id", "idempotency_key": "text"},
        lambda m: {"reward_id": m.reward(), "idempotency_key": key()},
    ),
    "start_shadow_session": Call(
        "agent", {"partner_id": "id"}, lambda m: {"partner_id": m.dataset.west.partner.sub}
    ),
    "end_shadow_session": Call("agent", {}),
    "respond_order": Call(
        "subdist",
        {"order_id": "id", "decision": "word", "note": "optional text"},
        lambda m: {"order_id": m.order(), "decision": "ACCEPT", "note": "n" * 480},
    ),
    "release_order": Call(
        "admin",
        {"order_id": "id", "reason": "text"},
        lambda m: {"order_id": m.over_limit(), "reason": "r" * 500},
    ),
    "approve_order": Call("admin", {"order_id": "id"}, lambda m: {"order_id": m.order("respond_order")}),
    "reject_order": Call(
        "admin", {"order_id": "id", "reason": "text"}, lambda m: {"order_id": m.order(), "reason": "r" * 500}
    ),
    "reroute_order": Call(
        "admin",
        {"order_id": "id", "subdist_id": "id"},
        lambda m: {"order_id": m.order(), "subdist_id": m.dataset.east.subdist.sub},
    ),
    "ship_order": Call(
        "admin", {"order_id": "id"}, lambda m: {"order_id": m.order("respond_order", "approve_order")}
    ),
    "complete_order": Call(
        "admin",
        {"order_id": "id"},
        lambda m: {"order_id": m.order("respond_order", "approve_order", "ship_order")},
    ),
    "record_payment": Call(
        "admin",
        {
            "invoice_id": "id",
            "amount": "money",
            "payment_method": "optional text",
            "reference_number": "optional text",
            "paid_at": "moment",
            "notes": "optional text",
            "idempotency_key": "optional text",
        },
        lambda m: {
            "invoice_id": m.invoice(),
            "amount": 1000,
            "payment_method": "TRANSFER",
            "reference_number": "R-1",
            "paid_at": "2026-01-31T10:00:00+07:00",
            "notes": "x",
            "idempotency_key": key(),
        },
    ),
    "issue_invoice": Call(
        "admin",
        {
            "order_id": "id",
            "amount": "money",
            "due_date": "moment",
            "reason": "text",
            "idempotency_key": "text",
        },
        lambda m: {
            "order_id": m.unbilled_order(),
            "amount": 1000,
            "due_date": "2026-12-31T17:00:00Z",
            "reason": "r" * 500,
            "idempotency_key": key(),
        },
    ),
    "reverse_payment": Call(
        "admin",
        {"payment_id": "id", "reason": "text"},
        lambda m: {"payment_id": m.payment(), "reason": "r" * 500},
    ),
    "record_refund": Call(
        "admin",
        {
            "invoice_id": "id",
            "amount": "money",
            "reference_number": "optional text",
            "reason": "text",
            "idempotency_key": "optional text",
        },
        lambda m: {
            "invoice_id": m.overpaid_invoice(),
            "amount": 1000,
            "reference_number": "R-1",
            "reason": "r" * 500,
            "idempotency_key": key(),
        },
    ),
    "write_off": Call(
        "admin",
        {"invoice_id": "id", "reason": "text"},
        lambda m: {"invoice_id": m.almost_paid_invoice(), "reason": "r" * 500},
    ),
    "return_items": Call(
        "admin",
        {"order_id": "id", "items": "items", "reason": "text", "idempotency_key": "text"},
        lambda m: {
            "order_id": m.order("respond_order", "approve_order", "ship_order"),
            "items": ITEMS,
            "reason": "r" * 500,
            "idempotency_key": key(),
        },
    ),
    "cancel_invoice": Call(
        "admin",
        {"invoice_id": "id", "reason": "text"},
        lambda m: {"invoice_id": m.invoice(), "reason": "r" * 500},
    ),
    "account_statement": Call(
        "partner",
        {"from_date": "day", "to_date": "day", "partner_id": "optional id"},
        lambda m: {
            "from_date": "2026-01-01",
            "to_date": "2026-12-31",
            "partner_id": m.dataset.west.partner.sub,
        },
    ),
    "adjust_points": Call(
        "admin",
        {"partner_id": "id", "points": "adjustment", "reason": "text", "idempotency_key": "text"},
        lambda m: {
            "partner_id": m.dataset.west.partner.sub,
            "points": 5,
            "reason": "r" * 500,
            "idempotency_key": key(),
        },
    ),
    "expire_points": Call(
        "admin",
        {"partner_id": "id", "points": "expiry", "reason": "text", "idempotency_key": "text"},
        lambda m: {
            "partner_id": m.partner_with_points(),
            "points": 5,
            "reason": "r" * 500,
            "idempotency_key": key(),
        },
    ),
    "advance_redemption": Call(
        "admin",
        {"redemption_id": "id", "status": "word"},
        lambda m: {"redemption_id": m.redemption(), "status": "SHIPPED"},
    ),
    "acknowledge_escalation": Call(
        "admin", {"escalation_id": "id"}, lambda m: {"escalation_id": m.escalation()}, twice=False
    ),
    "invite": Call(
        "admin",
        {"role": "word", "id": "id"},
        lambda m: {"role": "partner", "id": m.dataset.west.partner.sub},
    ),
    "revoke_sessions": Call(
        "admin",
        {"role": "word", "id": "id"},
        lambda m: {"role": "partner", "id": m.dataset.west.partner.sub},
    ),
    "delete_partner": Call(
        "admin",
        {"partner_id": "id", "reason": "text"},
        lambda m: {"partner_id": m.settled_partner(), "reason": "r" * 500},
    ),
    "erase_partner": Call(
        "superadmin",
        {"partner_id": "id", "reason": "text"},
        lambda m: {"partner_id": m.settled_partner(), "reason": "r" * 500},
    ),
    "export_partner": Call(
        "superadmin",
        {"partner_id": "id"},
        lambda m: {"partner_id": m.dataset.west.partner.sub},
    ),
    "export_agent": Call(
        "superadmin",
        {"agent_id": "id"},
        lambda m: {"agent_id": m.dataset.west.agent.sub},
    ),
    "export_subdist": Call(
        "superadmin",
        {"subdist_id": "id"},
        lambda m: {"subdist_id": m.dataset.west.subdist.sub},
    ),
    "set_config": Call(
        "admin",
        {"config_key": "config key", "config_value": "value"},
        lambda _: {"config_key": "order.max_lines", "config_value": 400},
    ),
    "erp_stream": Call("erp", {"stream": "stream"}, lambda _: {"stream": "stock"}),
    "erp_report": Call(
        "erp",
        {
            "stream": "stream",
            "ok": "outcome",
            "detail": "anything",
            "notify": "flag",
            "remarks": "anything",
        },
        lambda _: {"stream": "stock", "ok": True},
    ),
    "erp_apply_stock": Call(
        "erp",
        {
            "levels": "levels",
            "read_at": "moment",
            "stream": "stream",
            "cursor": "anything",
            "complete": "anything",
        },
        lambda _: {"levels": [{"sku": "SKU-001", "quantity": 900}]},
    ),
    "erp_apply_products": Call(
        "erp",
        {"products": "products", "stream": "stream", "cursor": "anything"},
        lambda _: {"products": [{"sku": "NEW-1", "name": "Sampo", "base_price": 1000}]},
    ),
    "erp_pending_orders": Call("erp", {"max": "count"}, lambda _: {"max": 10}),
    "erp_ack_order": Call(
        "erp",
        {"order_id": "id", "erp_reference": "text"},
        lambda m: {"order_id": m.order("respond_order", "approve_order"), "erp_reference": "SO-1"},
    ),
    "erp_pending_cancellations": Call("erp", {"max": "count"}, lambda _: {"max": 10}),
    "erp_ack_cancellation": Call(
        "erp",
        {"order_id": "id", "outcome": "word", "note": "optional text"},
        lambda m: {"order_id": m.rejected_order(), "outcome": "REFUSED"},
    ),
    "erp_apply_payments": Call(
        "erp",
        {"payments": "payments", "stream": "stream", "cursor": "anything", "complete": "complete"},
        lambda m: {
            "payments": [
                {"invoice_number": m.invoice("invoice_number"), "amount": 500, "reference_number": "ERP-1"}
            ]
        },
    ),
    "catalogue": Call("partner", {}),
    "metrics": Call("admin", {}),
    "app_configs": Call("partner", {}),
    "claim_messages": Call(
        "messenger",
        {"max": "count", "lease_seconds": "count", "only_channel": "optional text"},
        lambda _: {"max": 1, "lease_seconds": 60, "only_channel": "EMAIL"},
    ),
    "message_sent": Call(
        "messenger",
        {"message_id": "id", "provider_id": "text"},
        lambda m: {"message_id": m.message(), "provider_id": f"wamid.{key()}"},
    ),
    "messages_sent": Call(
        "messenger",
        {"sent": "sent"},
        lambda m: {"sent": [{"message_id": m.message(), "provider_id": f"wamid.{key()}"}]},
    ),
    "message_failed": Call(
        "messenger",
        {"message_id": "id", "error_code": "optional text", "retry": "flag"},
        lambda m: {"message_id": m.message(), "error_code": "131026", "retry": False},
    ),
    "release_messages": Call("messenger", {"message_ids": "ids"}, lambda m: {"message_ids": [m.message()]}),
    "message_status": Call(
        "messenger",
        {
            "provider_id": "text",
            "status": "word",
            "at": "moment",
            "message_id": "optional id",
            "error_code": "optional text",
        },
        lambda m: {
            "provider_id": (provider := f"wamid.{key()}"),
            "status": "delivered",
            "at": "2026-01-31T10:00:00Z",
            "message_id": m.message(provider),
            "error_code": None,
        },
    ),
    "inbound_message": Call(
        "messenger", {"payload": "payload"}, lambda _: {"payload": {"entry": [], "n": key()}}
    ),
    "inbound_messages": Call(
        "messenger",
        {"payloads": "payloads"},
        lambda _: {"payloads": [{"entry": [], "n": key()}]},
    ),
    "process_inbox": Call("messenger", {"max": "count"}, lambda _: {"max": 10}),
}


def as_json(arguments: dict[str, Any]) -> dict[str, str]:
    return {name: json.dumps(argument) for name, argument in arguments.items()}
