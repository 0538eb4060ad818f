"""A state machine over the public API, compared with the reference model after each step."""

import contextlib
import json
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar

import psycopg
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.stateful.clock import grow_older
from tests.stateful.reference_model import (
    BILLED,
    LIFE,
    OPEN,
    Booking,
    Invoice,
    Model,
    Order,
    Partner,
    Price,
    Product,
    Quote,
    Redemption,
)
from tests.support.calls import write
from tests.support.client import caller
from tests.support.context import (
    Caller,
    RefusedError,
    call,
    invoice_of,
    line,
    make_context,
    new_id,
    shadow,
    value,
)
from tests.support.queries import run_job


def hours_from_now(moment: str) -> str:
    """SQL: the hours from now to a moment, to the half hour; the seconds that the run takes do not count."""
    return f"round(2 * extract(epoch from {moment} - clock_timestamp()) / 3600) / 2"


OBSERVED = f"""
select jsonb_build_object(
  'partners', (
    select jsonb_object_agg(p.id, jsonb_build_array(p.credit_used, p.point_balance)) from app.partners p),
  'stock', (
    select jsonb_object_agg(p.sku, jsonb_build_array(s.reserved, s.display_stock))
    from app.products p join app.inventory s on s.product_id = p.id),
  'orders', (
    select coalesce(jsonb_object_agg(o.id, jsonb_build_array(
      o.status, o.subtotal, o.discount_amount, o.point_discount, o.grand_total, o.points_earned,
      o.points_used, o.is_over_limit, o.released_at is not null, o.routed_to_subdist_id,
      o.agent_id is not null, nullif(o.erp_reference, o.order_number)
    )), '{{}}') from app.orders o),
  'awaiting', (select coalesce(jsonb_object_agg(o.id, o.awaiting), '{{}}') from app.orders o),
  'invoices', (
    select coalesce(jsonb_object_agg(i.id, jsonb_build_array(
      i.status, i.amount, i.amount_paid, i.amount_credited, i.amount_written_off, i.amount_due,
      i.refund_due, {hours_from_now("i.due_date")},
      case when i.status = 'PAID' then {hours_from_now("i.paid_at")} end
    )), '{{}}')
    from api.invoices i),
  'points', (
    select coalesce(jsonb_object_agg(t.order_id, t.points), '{{}}')
    from (
      select order_id, sum(points) as points from app.point_transactions
      where order_id is not null group by order_id having sum(points) <> 0
    ) t),
  'rewards', (select jsonb_object_agg(c.id, c.stock_available) from app.redemption_catalog c),
  'redemptions', (select coalesce(jsonb_object_agg(r.id, r.status), '{{}}') from app.redemptions r),
  'cancellations', (
    select coalesce(jsonb_object_agg(c.order_id, coalesce(c.outcome, 'PENDING')), '{{}}')
    from app.erp_cancellations c),
  'escalations', (
    select coalesce(jsonb_object_agg(l.key, l.n), '{{}}')
    from (
      select order_id || ' ' || escalation_level as key, count(*) as n from app.sla_escalation_logs group by 1
    ) l)
)::text
"""

SUPERADMIN = """
insert into app.agents (email, password_hash, full_name, role)
values ('eka@hub.test', 'x', 'Eka', 'SUPERADMIN')
"""
STATEMENT = """
select (s).opening_balance, (s).closing_balance
from (
  select api.account_statement((t.day - interval '1 year')::date, t.day) as s
  from (select (now() at time zone 'Asia/Jakarta')::date) as t (day)
) as s
"""
RECEIVABLE = """
select amount_due, not_overdue + overdue_1_30 + overdue_31_60 + overdue_61_90 + overdue_over_90
from api.receivables where partner_id = %s
"""
NEWEST_PAYMENT = "select id::text from app.invoice_payments where invoice_id = %s order by id desc limit 1"

DAY = 24
"""Hours."""

picks = st.integers(0, 999)
quantities = st.integers(1, 12)
hours = st.sampled_from([0.5, 2, 5.5, 18.5, 25])
lines = st.dictionaries(st.sampled_from(["SKU-000", "SKU-001", "SKU-002", "SKU-003"]), quantities, min_size=1)
points = st.sampled_from([0, 0, 0, 1, 30, 250, 5000])
expectations = st.sampled_from([None, None, 0, 0, 1000, -1000])
"""What a partner expects to pay, above or below the true total."""
stocks = st.sampled_from([60, 200, 20, 5, 0, -3])
extras = st.sampled_from([0, 0, 0, 1])
jobs = st.sampled_from(["point-queue", "audit-flush", "statistics-refresh"])
tiers = st.sampled_from(["SILVER", "GOLD", "PLATINUM"])
configs = st.sampled_from(
    [
        ("loyalty.rupiah_per_point", ["10000", "15000", "333", "7.5"]),
        ("loyalty.point_value_rupiah", ["100", "250.5", "33.333"]),
        ("loyalty.multiplier.gold", ["1.2", "0.35", "3"]),
        ("order.minimum_threshold", ["500000", "0", "2000000"]),
        ("credit.over_limit_policy", ["FLAG", "BLOCK"]),
        ("invoice.due_days.silver", ["30", "0", "7"]),
        ("invoice.due_days.gold", ["45", "14"]),
        ("invoice.write_off_max", ["10000", "0", "2500", "1000000"]),
    ]
)


def picks_any(pick: int) -> bool:
    """Whether to pick any object, fitting or not (one in eight), so that refusals are tested too.

    False for 0, which hypothesis draws more often than others.
    """
    return pick % 8 == 7


class _AllRules:
    """Enables every rule, where hypothesis would omit some: the life of an order needs most of them."""

    def is_enabled(self, _: str) -> bool:
        return True


@dataclass(frozen=True)
class Repeatable:
    """A call that can be made again and changes nothing then, with its first result."""

    who: Caller
    function: str
    arguments: dict[str, Any]
    result: Any


class OrderMachine(RuleBasedStateMachine):
    """Each run uses its own database; the test sets `new_database`."""

    new_database: ClassVar[Callable[[], tuple[str, Callable[[], None]]]]
    steps: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        rules: Any = self._rules_strategy
        rules.enabled_rules_strategy = st.just(_AllRules())
        url, self.drop = type(self).new_database()
        self.conn = psycopg.connect(url, autocommit=True, prepare_threshold=0)
        self.context = make_context(self.conn, products=4, stock=60, credit=6_000_000)
        self.superadmin = Caller("superadmin", new_id(self.conn, SUPERADMIN))
        self.partners = {str(p.sub): p for p in self.context.partners}
        papua = str(self.context.partners[2].sub)
        self.conn.execute(
            "update app.partners set region_id = %s where id = %s", [self.context.regions["papua"], papua]
        )
        self.model = Model(
            partners={
                who: Partner(tier, "papua" if who == papua else "bandung", Decimal(6_000_000))
                for who, tier in zip(self.partners, ("SILVER", "GOLD", "PLATINUM"), strict=True)
            },
            products={
                sku: Product(Decimal(100_000 + 25_000 * i), 60) for i, sku in enumerate(self.context.skus)
            },
            rewards=dict(zip(self.context.rewards, ((50, 3), (400, 1)), strict=True)),
            subdists={str(s.sub): True for s in self.context.subdists},
        )
        for who in self.partners:
            start = {"points": 500, "reason": "start", "idempotency_key": who}
            call(self.conn, self.context.admin, "adjust_points", partner_id=who, **start)
            self.model.ledger.append((who, 500))
        # schedules count hours from here: the model's clock ignores the seconds that the run takes
        self.began_at = value(self.conn, "select clock_timestamp()")
        self.keys: dict[tuple[str, str], tuple[object, str]] = {}
        self.repeatable: list[Repeatable] = []
        self.repeated: set[str] = set()
        # each: time in the hub, time in the model, number of orders that the ERP had acknowledged by then
        self.readings: list[tuple[datetime, int, int]] = []
        names = [row[0] for row in self.conn.execute("select invariant from app.invariants()")]
        self.invariant_query = " union all ".join(
            f"select '{name}' as invariant, details from app.consistency_{name}" for name in names
        )

    def teardown(self) -> None:
        try:
            # one sequence in three, always the same ones
            if sys.exc_info()[0] is None and len(self.model.orders) % 3 == 0:
                self.close_the_accounts()
        finally:
            self.conn.close()
            self.drop()

    def close_the_accounts(self) -> None:
        """At the end, compare what each partner owes, delete those who are settled, and erase a few."""
        for partner, who in self.partners.items():
            invoices = [
                i for i in self.model.invoices.values() if self.model.orders[i.order].partner == partner
            ]
            due = sum((i.due for i in invoices), Decimal(0))
            refund = sum((i.refund_due for i in invoices), Decimal(0))
            with caller(self.conn, who.role, who.sub):
                statement = self.conn.execute(STATEMENT).fetchone()
            with caller(self.conn, "admin", self.context.admin.sub):
                receivable = self.conn.execute(RECEIVABLE, [partner]).fetchone()
            assert statement == (0, due - refund)
            assert receivable == ((due, due) if due else None)
            against = self.model.against_deleting(partner)
            body = {"partner_id": partner, "reason": "toko tutup"}
            if self.perform(self.context.admin, "delete_partner", against, **body):
                self.model.delete(partner)
                self.perform(who, "save_draft", {"ACCOUNT_INACTIVE"}, items=[line("SKU-000", 1)])
                if type(self).steps["delete_partner"] % 4 == 1:
                    self.perform(self.superadmin, "erase_partner", set(), **body)
            else:
                self.perform(self.superadmin, "erase_partner", {"PARTNER_NOT_SETTLED"}, **body)
        self.every_invariant_holds()
        self.the_model_agrees()

    # --- performing an operation ------------------------------------------------------------------

    def perform_once(self, who: Caller, function: str, against: set[str], **arguments: Any) -> Any:
        """Call the API as `perform` does, and keep the call, which `repeat` makes again."""
        result = self.perform(who, function, against, **arguments)
        if result is not None:
            self.repeatable.append(Repeatable(who, function, arguments, result))
        return result

    def perform(self, who: Caller, function: str, against: set[str], **arguments: Any) -> Any:
        """Call the API; it must refuse with one of these codes or, if there are none, succeed.

        Returns None if it refused.
        """
        try:
            result = call(self.conn, who, function, **arguments)
        except RefusedError as refused:
            if refused.code not in against:
                raise AssertionError(f"{function}: {refused}; expected {against or 'success'}") from refused
            type(self).steps[f"{function} {refused.code}"] += 1
            return None
        assert not against, f"{function} succeeded; the model expects {against}"
        type(self).steps[function] += 1
        return result

    def write(self, statement: str, *values: Any) -> None:
        """Write master data as an admin does."""
        assert write(self.conn, self.context.admin, statement, *values) == 1
        type(self).steps[" ".join(statement.split()[:3])] += 1

    def one_of(self, keys: Any, pick: int) -> Any:
        every = list(keys)
        return every[pick % len(every)]

    def order(self, pick: int, *statuses: str) -> str:
        """An order, preferably in one of these statuses; where none is, one proceeds to them."""
        if picks_any(pick):
            return str(self.one_of(self.model.orders, pick // 8))
        if not self.in_status(*statuses):
            self.proceed_to(pick, *statuses)
        return str(self.one_of(self.in_status(*statuses) or self.model.orders, pick // 8))

    def in_status(self, *statuses: str) -> list[str]:
        return [key for key, o in self.model.orders.items() if o.status in statuses]

    def invoices_due(self, pick: int) -> list[str]:
        """The invoices of which something is due; where none is, an order is approved."""
        due = [key for key, i in self.model.invoices.items() if i.due]
        if not due and not picks_any(pick):
            self.proceed_to(pick, "APPROVED")
            due = [key for key, i in self.model.invoices.items() if i.due]
        return due

    def owner(self, order: str) -> Caller:
        return self.partners[self.model.orders[order].partner]

    def acting_for(self, partner: str, pick: int) -> Caller | None:
        """An agent in shadow mode, one in five times where an agent serves the region."""
        if pick % 5 or self.model.partners[partner].region == "papua":
            return None
        return shadow(self.conn, self.one_of(self.context.agents, pick // 5), self.partners[partner])

    def routed(self, order: Order, key: str) -> None:
        """Store the sub-distributor of the order, which must be one of the least busy."""
        expected: set[str | None] = {None} if order.waits_for_release else self.model.served_by(order.partner)
        actual = value(self.conn, "select routed_to_subdist_id::text from app.orders where id = %s", key)
        assert actual in expected, f"routed to {actual}, not one of {expected}"
        self.model.route(order, actual)

    @initialize(
        policy=st.sampled_from(["BLOCK", "FLAG"]),
        limit=st.sampled_from([1, 6, 20]),
        erp=st.sampled_from(["csv", "csv", "none"]),
    )
    def begin(self, policy: str, limit: int, erp: str) -> None:
        """Half of the runs use BLOCK, the other half FLAG; two of three an ERP."""
        for key, chosen in (("credit.over_limit_policy", policy), ("erp.kind", erp)):
            self.perform(self.context.admin, "set_config", set(), config_key=key, config_value=chosen)
            self.model.rules[key] = chosen
        for i, partner in enumerate(self.partners):
            # under FLAG, orders of the first partner wait for a release
            million = 1 if i == 0 and policy == "FLAG" else limit
            self.change_partner_to(partner, self.model.partners[partner].tier, million)

    # --- ordering ---------------------------------------------------------------------------------

    @rule(who=picks, basket=lines, used=points, agent=picks, again=picks, expected=expectations)
    def submit(
        self, who: int, basket: dict[str, int], used: int, agent: int, again: int, expected: int | None
    ) -> None:
        partner = self.one_of(self.partners, who)
        key = str(uuid.UUID(int=len(self.keys)))
        known = [k for k in self.keys if k[0] == partner]
        if known and again % 4 == 0:
            key = self.one_of(known, again)[1]
        self.submit_under(key, partner, basket, used, self.acting_for(partner, agent), expected)

    def submit_under(
        self,
        key: str,
        partner: str,
        basket: dict[str, int],
        used: int,
        acting: Caller | None,
        expected: int | None,
    ) -> None:
        body = (sorted(basket.items()), used)
        against = self.model.against_submitting(partner, basket, used)
        total = None
        if expected is not None:
            total = max(Decimal(0), self.model.quote(partner, basket, used).total + expected)
            if "UNKNOWN_SKU" not in against and self.model.quote(partner, basket, used).total > total:
                against = against | {"PRICE_CHANGED"}
        if (partner, key) in self.keys:
            same = self.keys[partner, key][0] == body
            against = set() if same else {"IDEMPOTENCY_CONFLICT"}
        made = self.perform(
            acting or self.partners[partner],
            "submit_order",
            against,
            items=[line(sku, n) for sku, n in sorted(basket.items())],
            points=used,
            idempotency_key=key,
            expected_total=total,
        )
        if made is None:
            return
        if (partner, key) in self.keys:
            assert made["id"] == self.keys[partner, key][1], "the same key is the same order"
            return
        self.keys[partner, key] = (body, made["id"])
        order = Order(partner, basket, self.model.quote(partner, basket, used))
        self.model.submit(order, used, assisted=acting is not None)
        self.routed(order, made["id"])
        self.model.orders[made["id"]] = order

    @rule(who=picks, basket=lines)
    def order_some_more(self, who: int, basket: dict[str, int]) -> None:
        self.submit(who, basket, 0, 1, 1, None)

    @rule(who=picks, basket=lines)
    def submit_expecting_less(self, who: int, basket: dict[str, int]) -> None:
        self.submit(who, basket, 0, 1, 1, -1000)

    @rule(who=picks, what=picks)
    def submit_beyond_the_limit(self, who: int, what: int) -> None:
        partner = self.one_of(self.partners, who)
        in_stock = [sku for sku in self.model.products if self.model.display(sku) > 0]
        if in_stock:
            tier, limit = self.model.partners[partner].tier, self.model.partners[partner].credit_limit
            self.change_partner_to(partner, tier, 0)
            self.submit(who, {self.one_of(in_stock, what): 1}, 0, 1, 1, None)
            self.change_partner_to(partner, tier, int(limit) // 1_000_000)

    @precondition(lambda self: self.keys)
    @rule(pick=picks, basket=lines)
    def submit_under_a_known_key(self, pick: int, basket: dict[str, int]) -> None:
        """The body is seldom the same."""
        partner, key = self.one_of(self.keys, pick)
        self.submit_under(key, partner, basket, 0, None, None)

    @rule(who=picks, basket=lines, used=points)
    def quote(self, who: int, basket: dict[str, int], used: int) -> None:
        partner = self.one_of(self.partners, who)
        answer = self.perform(
            self.partners[partner],
            "quote_order",
            self.model.against_ordering(partner, basket, used),
            items=[line(sku, n) for sku, n in basket.items()],
            points=used,
        )
        if answer:
            quote = self.model.quote(partner, basket, used)
            limit = self.model.partners[partner].credit_limit
            assert answer["points_promised"] == quote.promise
            assert answer["grand_total"] == quote.total
            assert answer["is_over_limit"] == self.model.is_over(partner, basket, used)
            assert answer["credit_left"] == max(0, limit - self.model.credit_used(partner))

    @rule(who=picks, basket=lines, agent=picks)
    def save_draft(self, who: int, basket: dict[str, int], agent: int) -> None:
        partner = self.one_of(self.partners, who)
        acting = self.acting_for(partner, agent)
        made = self.perform(
            acting or self.partners[partner],
            "save_draft",
            self.model.against_ordering(partner, basket, 0),
            items=[line(sku, n) for sku, n in basket.items()],
        )
        if made:
            quote = self.model.quote(partner, basket, 0)
            self.model.orders[made["id"]] = Order(partner, basket, quote, assisted=acting is not None)

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks, basket=lines, agent=picks)
    def update_draft(self, pick: int, basket: dict[str, int], agent: int) -> None:
        if not self.in_status("DRAFT") and not picks_any(pick):
            self.save_draft(pick, basket, agent)
        key = self.order(pick, "DRAFT")
        order = self.model.orders[key]
        acting = self.acting_for(order.partner, agent)
        against = self.model.against_ordering(order.partner, basket, 0)
        if order.status != "DRAFT":
            against = {"ORDER_FROZEN"}
        items = [line(sku, n) for sku, n in basket.items()]
        who = acting or self.owner(key)
        if self.perform(who, "update_draft", against, order_id=key, items=items):
            order.lines, order.quote = basket, self.model.quote(order.partner, basket, 0)
            order.assisted = acting is not None

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks, used=points, agent=picks, stranger=picks)
    def submit_draft(self, pick: int, used: int, agent: int, stranger: int) -> None:
        key = self.order(pick, "DRAFT")
        order = self.model.orders[key]
        if stranger % 10 == 0:
            other = self.one_of([p for p in self.partners if p != order.partner], stranger)
            self.perform(
                self.partners[other], "submit_draft", {"NOT_FOUND"}, order_id=key, idempotency_key="strange"
            )
            return
        acting = self.acting_for(order.partner, agent)
        self.submit_order_of(key, used, acting or self.owner(key), assisted=acting is not None)

    def submit_order_of(self, key: str, used: int, who: Caller, *, assisted: bool) -> None:
        order = self.model.orders[key]
        against = (
            self.model.against_submitting(order.partner, order.lines, used)
            if order.status == "DRAFT"
            else {"ILLEGAL_TRANSITION"}
        )
        fresh = str(uuid.UUID(int=len(self.keys)))
        done = self.perform(who, "submit_draft", against, order_id=key, points=used, idempotency_key=fresh)
        if done:
            self.keys[order.partner, fresh] = ("draft", key)
            self.model.submit(order, used, assisted=assisted)
            # while it is being routed it does not count as open itself
            order.status = "DRAFT"
            self.routed(order, key)
            order.status = "SUBMITTED"

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks, stranger=picks)
    def cancel(self, pick: int, stranger: int) -> None:
        key = self.order(pick, "DRAFT", *OPEN, "APPROVED")
        order = self.model.orders[key]
        if stranger % 10 == 0:
            other = self.one_of([p for p in self.partners if p != order.partner], stranger)
            self.perform(self.partners[other], "cancel_order", {"NOT_FOUND"}, order_id=key)
        elif self.perform(
            self.owner(key), "cancel_order", self.model.against_moving(key, "CANCELLED"), order_id=key
        ):
            self.model.move(key, "CANCELLED")

    # --- sub-distributor and headquarters ---------------------------------------------------------

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks, who=picks, decision=st.sampled_from(["ACCEPT", "ACCEPT", "PROGRESS", "DECLINE"]))
    def respond(self, pick: int, who: int, decision: str) -> None:
        key = self.order(pick, *OPEN, *(("APPROVED",) if who % 3 == 0 else ()))
        order = self.model.orders[key]
        subdist = self.one_of(self.model.subdists, who)
        if who % 6 and order.subdist:
            subdist = order.subdist
        self.answer(key, subdist, decision)

    def answer(self, key: str, subdist: str, decision: str) -> None:
        order = self.model.orders[key]
        against = self.model.against_answering(key, subdist, decision)
        if self.perform(
            Caller("subdist", subdist), "respond_order", against, order_id=key, decision=decision
        ):
            self.model.respond(order, decision)

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks)
    def approve(self, pick: int) -> None:
        self.approve_order(self.order(pick, "PROCESSING"))

    def approve_order(self, key: str) -> None:
        if self.perform(
            self.context.admin, "approve_order", self.model.against_moving(key, "APPROVED"), order_id=key
        ):
            self.model.move(key, "APPROVED")
            total = self.model.orders[key].quote.total
            if total:
                self.model.issue(invoice_of(self.conn, {"id": key})["id"], key, total)

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks)
    def reject(self, pick: int) -> None:
        self.reject_order(self.order(pick, *OPEN, "APPROVED"))

    def reject_order(self, key: str) -> None:
        against = self.model.against_moving(key, "REJECTED")
        if self.perform(self.context.admin, "reject_order", against, order_id=key, reason="tidak bisa"):
            self.model.move(key, "REJECTED", "tidak bisa")

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks, to=st.sampled_from(["SHIPPED", "COMPLETED"]), who=picks)
    def deliver(self, pick: int, to: str, who: int) -> None:
        key = self.order(pick, "APPROVED" if to == "SHIPPED" else "SHIPPED")
        subdist = self.model.orders[key].subdist
        if who % 8 == 0:
            subdist = self.one_of(self.model.subdists, who // 8)
        self.move(key, to, subdist if who % 2 == 0 else None)

    def move(self, key: str, to: str, subdist: str | None = None) -> None:
        """Ship or complete an order as a sub-distributor, or as headquarters."""
        who = Caller("subdist", subdist) if subdist else self.context.admin
        against = self.model.against_delivering(key, to, subdist)
        if self.perform(who, "ship_order" if to == "SHIPPED" else "complete_order", against, order_id=key):
            self.model.move(key, to)

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        waiting = [k for k, o in self.model.orders.items() if o.waits_for_release and o.status in OPEN]
        self.release_order(
            self.one_of(self.model.orders if picks_any(pick) or not waiting else waiting, pick // 8)
        )

    def release_order(self, key: str) -> None:
        against = self.model.against_releasing(key)
        if self.perform(self.context.admin, "release_order", against, order_id=key, reason="langganan"):
            order = self.model.orders[key]
            order.released = True
            self.routed(order, key)

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks, to=picks)
    def reroute(self, pick: int, to: int) -> None:
        key = self.order(pick, *OPEN, "APPROVED")
        subdist = self.one_of(self.model.subdists, to)
        routable = [k for k in self.in_status(*OPEN) if not self.model.against_rerouting(k, subdist)]
        if routable and to % 2:
            key = self.one_of(routable, pick)
        against = self.model.against_rerouting(key, subdist)
        if self.perform(self.context.admin, "reroute_order", against, order_id=key, subdist_id=subdist):
            self.model.route(self.model.orders[key], subdist)

    @rule(pick=picks)
    def suspend_or_reactivate(self, pick: int) -> None:
        subdist = self.one_of(self.model.subdists, pick)
        active = self.model.subdists[subdist] = not self.model.subdists[subdist]
        self.write(
            "update api.sub_distributors set status = %s where id = %s",
            "ACTIVE" if active else "SUSPENDED",
            subdist,
        )
        if not active:
            for order in self.model.orders.values():
                if order.subdist == subdist and order.status in (*OPEN, "APPROVED"):
                    # there are only two: the other one, or none
                    (other,) = self.model.served_by(order.partner)
                    self.model.hand_over(order, other)

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks)
    def proceed_further(self, pick: int) -> None:
        self.proceed_with(pick)

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks)
    def proceed(self, pick: int) -> None:
        self.proceed_with(pick)

    def proceed_with(self, pick: int) -> None:
        """Do the next step of the usual life of an order, so that runs reach late statuses."""
        live = self.in_status(*LIFE)
        if live:
            self.proceed_one(self.one_of(live, pick), pick)

    def proceed_to(self, pick: int, *statuses: str) -> None:
        """Take an order that can still reach one of these statuses there, unless a step is refused."""
        earlier = self.in_status(*LIFE[: max(LIFE.index(status) for status in statuses)])
        if not earlier:
            return
        key = self.one_of(earlier, pick)
        for _ in range(len(LIFE) + 1):
            if self.model.orders[key].status in statuses:
                break
            self.proceed_one(key, pick)

    def proceed_one(self, key: str, pick: int) -> None:
        order = self.model.orders[key]
        if order.status == "DRAFT":
            self.submit_order_of(key, 0, self.owner(key), assisted=False)
        elif order.status == "SUBMITTED" and order.waits_for_release:
            self.release_order(key)
        elif order.status in OPEN and order.subdist and order.awaiting == "SUBDIST":
            self.answer(key, order.subdist, "ACCEPT")
        elif order.status in OPEN:
            self.approve_order(key)
        elif order.status in ("APPROVED", "SHIPPED"):
            unpaid = [k for k, i in self.model.invoices.items() if i.order == key and i.due]
            if unpaid and pick % 2:
                invoice = self.model.invoices[unpaid[0]]
                self.book(unpaid[0], invoice.due, f"P{pick} {len(invoice.bookings)}")
            else:
                self.move(key, "SHIPPED" if order.status == "APPROVED" else "COMPLETED")

    # --- money ------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.invoices)
    @rule(
        pick=picks,
        share=st.sampled_from([1, 1, 1, 2, 3, 7]),
        extra=st.sampled_from([0, 0, 0, 1]),
        again=picks,
    )
    def pay(self, pick: int, share: int, extra: int, again: int) -> None:
        self.book(*self.payment(pick, share, extra, again))

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks, share=st.sampled_from([1, 2]), again=picks)
    def pay_by_erp(self, pick: int, share: int, again: int) -> None:
        if self.invoices_due(pick) or self.model.invoices:
            self.book_by_erp(*self.payment(pick, share, 0, again))

    def payment(self, pick: int, share: int, extra: int, again: int) -> tuple[str, Decimal, str]:
        """An invoice, an amount and a reference, which one in four times is a known one."""
        unpaid = [k for k, i in self.model.invoices.items() if i.due]
        key = self.one_of(self.model.invoices if picks_any(pick) or not unpaid else unpaid, pick // 8)
        invoice = self.model.invoices[key]
        amount = (invoice.due / share).quantize(Decimal("0.01")) + extra
        if amount <= 0:
            amount = Decimal("0.01")
        reference = f"BCA {sum(len(i.bookings) for i in self.model.invoices.values())}"
        known = [b for b in invoice.bookings.values() if b.kind == "PAYMENT" and b.reference]
        if known and again % 4 == 0:
            booking = self.one_of(known, again)
            reference = booking.reference.lower() if again % 8 else booking.reference.replace(" ", "")
            amount = amount if picks_any(again) else booking.amount
        return key, amount, reference

    def book(self, key: str, amount: Decimal, reference: str, days_ago: int = 0) -> None:
        invoice = self.model.invoices[key]
        against = self.model.against_paying(key, amount, reference)
        duplicate = invoice.find(reference) is not None
        paid_at = datetime.now(UTC) - timedelta(days=days_ago)
        done = self.perform(
            self.context.admin,
            "record_payment",
            against,
            invoice_id=key,
            amount=amount,
            reference_number=reference,
            paid_at=paid_at.isoformat(),
        )
        if done:
            assert done["duplicate"] == duplicate
            date = self.model.now - DAY * days_ago
            self.model.pay(key, done["payment_id"], Booking("PAYMENT", amount, date, reference))

    def book_by_erp(self, key: str, amount: Decimal, reference: str) -> None:
        invoice = self.model.invoices[key]
        against = self.model.against_paying_by_erp(key, amount, reference)
        number = value(self.conn, "select invoice_number from app.invoices where id = %s", key)
        (answer,) = self.perform(
            self.context.erp,
            "erp_apply_payments",
            set(),
            payments=[{"invoice_number": number, "amount": float(amount), "reference_number": reference}],
        )
        fine = "DUPLICATE" if invoice.find(reference) else "APPLIED"
        assert answer["result"] in (against or {fine})
        if not against:
            payment = value(self.conn, NEWEST_PAYMENT, key)
            booking = Booking("PAYMENT", amount, self.model.now, reference)
            self.model.pay(key, payment, booking)

    @precondition(lambda self: self.model.invoices)
    @rule(pick=picks, reason=st.sampled_from(["retur", "retur", "salah cetak"]))
    def cancel_invoice(self, pick: int, reason: str) -> None:
        self.cancel_invoice_of(self.one_of(self.model.invoices, pick), reason)

    def cancel_invoice_of(self, key: str, reason: str) -> None:
        against = self.model.against_cancelling_invoice(key, reason)
        again = self.model.invoices[key].cancelled
        done = self.perform(self.context.admin, "cancel_invoice", against, invoice_id=key, reason=reason)
        if done and not again:
            self.model.cancel_invoice(key, reason)

    @rule(who=picks, amount=st.integers(-300, 600).filter(bool))
    def adjust_points(self, who: int, amount: int) -> None:
        partner = self.one_of(self.partners, who)
        short = amount < 0 and self.model.balance(partner) + amount < 0
        against = {"POINTS_INSUFFICIENT"} if short else set()
        if self.perform(
            self.context.admin,
            "adjust_points",
            against,
            partner_id=partner,
            points=amount,
            reason="koreksi",
            idempotency_key=str(uuid.uuid4()),
        ):
            self.model.ledger.append((partner, amount))

    @rule(who=picks, what=picks)
    def redeem(self, who: int, what: int) -> None:
        partner, reward = self.one_of(self.partners, who), self.one_of(self.model.rewards, what)
        against = self.model.against_redeeming(partner, reward)
        done = self.perform(
            self.partners[partner],
            "redeem_reward",
            against,
            reward_id=reward,
            idempotency_key=str(len(self.model.redemptions)),
        )
        if done:
            cost = self.model.rewards[reward][0]
            self.model.ledger.append((partner, -cost))
            self.model.redemptions[done["id"]] = Redemption(partner, reward, cost)

    @precondition(lambda self: self.model.redemptions)
    @rule(pick=picks, to=st.sampled_from(["SHIPPED", "DELIVERED", "CANCELLED"]))
    def advance_redemption(self, pick: int, to: str) -> None:
        key = self.one_of(self.model.redemptions, pick)
        against = self.model.advance(key, to)
        self.perform(self.context.admin, "advance_redemption", against, redemption_id=key, status=to)

    # --- master data, configuration, ERP, time ----------------------------------------------------

    @rule(config=configs, pick=picks)
    def set_config(self, config: tuple[str, list[str]], pick: int) -> None:
        key, choices = config
        chosen: str = self.one_of(choices, pick)
        number = key != "credit.over_limit_policy"
        self.perform(
            self.context.admin,
            "set_config",
            set(),
            config_key=key,
            config_value=json.loads(chosen) if number else chosen,
        )
        self.model.rules[key] = Decimal(chosen) if number else chosen

    @rule(who=picks, tier=tiers, limit=st.sampled_from([1, 0, 6, 60]))
    def change_partner(self, who: int, tier: str, limit: int) -> None:
        self.change_partner_to(self.one_of(self.partners, who), tier, limit)

    def change_partner_to(self, partner: str, tier: str, limit: int) -> None:
        self.model.partners[partner].tier = tier
        self.model.partners[partner].credit_limit = Decimal(limit * 1_000_000)
        self.write(
            "update api.partners set tier = %s, credit_limit = %s where id = %s",
            tier,
            limit * 1_000_000,
            partner,
        )

    @rule(what=picks, price=st.integers(1, 400), active=st.sampled_from([True] * 7 + [False]))
    def sync_product(self, what: int, price: int, active: bool) -> None:
        sku = self.one_of(self.model.products, what)
        product = self.model.products[sku]
        product.base_price, product.active = Decimal(price * 1000), active
        if self.model.has_erp:
            answer = {"sku": sku, "name": f"Shampoo {sku}", "base_price": price * 1000, "is_active": active}
            self.perform(self.context.erp, "erp_apply_products", set(), products=[answer])
        else:
            self.write(
                "update api.product_master set base_price = %s, is_active = %s where id = %s",
                price * 1000,
                active,
                self.context.products[sku],
            )

    @rule(what=picks, stock=stocks, buffer=st.sampled_from([0, 0, 3, 20]))
    def enter_stock(self, what: int, stock: int, buffer: int) -> None:
        """A new level, of the ERP or entered by an admin, and the buffer of an admin."""
        sku = self.one_of(self.model.products, what)
        product = self.model.products[sku]
        product.stock, product.buffer = stock, buffer
        where = self.context.products[sku]
        self.write("update api.inventory set safety_buffer = %s where product_id = %s", buffer, where)
        if self.model.has_erp:
            levels = [{"sku": sku, "quantity": stock}]
            self.perform(self.context.erp, "erp_apply_stock", set(), levels=levels)
            product.read_at = self.model.next_moment()
        else:
            self.write("update api.inventory set erp_stock = %s where product_id = %s", stock, where)

    @precondition(lambda self: self.model.has_erp)
    @rule(what=picks, stock=stocks, asks=st.booleans(), pick=picks)
    def sync_reading(self, what: int, stock: int, asks: bool, pick: int) -> None:
        """Apply levels that were read at some moment since the run began, now or long ago."""
        if asks or not self.readings:
            self.ask_for_the_time()
        self.apply_reading(
            self.one_of(self.model.products, what), stock, self.one_of(self.readings[-5:], pick)
        )

    @precondition(lambda self: self.model.has_erp)
    @rule(what=picks, stock=stocks)
    def sync_readings_that_overtake_each_other(self, what: int, stock: int) -> None:
        """Apply the later one of two readings first."""
        self.ask_for_the_time()
        self.ask_for_the_time()
        sku = self.one_of(self.model.products, what)
        self.apply_reading(sku, stock, self.readings[-1])
        self.apply_reading(sku, stock + 1, self.readings[-2])

    def ask_for_the_time(self) -> None:
        """Begin a reading of the ERP's stock."""
        answer = self.perform(self.context.erp, "erp_stream", set(), stream="stock")
        moment = datetime.fromisoformat(answer["read_at"])
        self.readings.append((moment, self.model.next_moment(), len(self.model.taken_over)))

    def apply_reading(self, sku: str, stock: int, reading: tuple[datetime, int, int]) -> None:
        """Send the level of a product as it was at a reading."""
        read_at, moment_of_model, known = reading
        answer = self.perform(
            self.context.erp,
            "erp_apply_stock",
            set(),
            levels=[{"sku": sku, "quantity": stock}],
            read_at=read_at.isoformat(),
        )
        counts = self.model.read_stock(sku, stock, moment_of_model, known)
        assert (answer["applied"], answer["outdated"]) == ((1, 0) if counts else (0, 1))
        type(self).steps["erp_apply_stock of a reading" if counts else "erp_apply_stock outdated"] += 1

    @rule(
        what=picks,
        tier=st.sampled_from(["SILVER", "GOLD"]),
        price=st.integers(10, 200),
        discount_from=st.sampled_from([None, 1, 5, 10]),
        starts=st.sampled_from([0, 0, 2]),
        lasts=hours,
    )
    def schedule_price(
        self, what: int, tier: str, price: int, discount_from: int | None, starts: int, lasts: float
    ) -> None:
        sku = self.one_of(self.model.products, what)
        rows = self.model.products[sku].schedule.setdefault(tier, [])
        since = self.model.now + starts
        row = Price(since, since + Fraction(lasts), Decimal(price * 1000), discount_from)
        row.discount_price = Decimal(price * 900) if discount_from else None
        overlaps = any(r.since < row.until and row.since < r.until for r in rows)
        refused = False
        try:
            self.write(
                "insert into api.tier_prices (product_id, tier, price, min_qty_discount, discount_price,"
                " effective_from, effective_until) values (%s, %s, %s, %s, %s, %s, %s)",
                self.context.products[sku],
                tier,
                row.price,
                discount_from,
                row.discount_price,
                self.began_at + timedelta(hours=starts),
                self.began_at + timedelta(hours=starts + lasts),
            )
        except psycopg.errors.ExclusionViolation:
            refused = True
        assert refused == overlaps
        if not refused:
            rows.append(row)

    @precondition(lambda self: self.model.orders and self.model.has_erp)
    @rule(pick=picks, other=picks)
    def acknowledge_by_erp(self, pick: int, other: int) -> None:
        closed = [k for k, o in self.model.orders.items() if o.cancellation and not o.erp]
        key = self.one_of(closed, pick) if closed and other % 3 == 0 else self.order(pick, *BILLED)
        erp = self.model.orders[key].erp
        self.take_over(key, erp if erp and other % 2 else f"S{len(self.model.orders)}-{other}")

    def take_over(self, key: str, reference: str) -> None:
        """Acknowledge an order as the ERP."""
        order = self.model.orders[key]
        against: set[str] = set()
        if order.erp is None and all(i.order != key for i in self.model.invoices.values()):
            against = {"ILLEGAL_TRANSITION"}
        elif order.erp not in (None, reference):
            against = {"ERP_REFERENCE_CONFLICT"}
        if self.perform(self.context.erp, "erp_ack_order", against, order_id=key, erp_reference=reference):
            self.model.take_over(key, reference)

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks, outcome=st.sampled_from(["CANCELLED", "CANCELLED", "REFUSED"]))
    def acknowledge_cancellation(self, pick: int, outcome: str) -> None:
        """Where no cancellation waits, an approved order is cancelled, which the ERP often has already."""
        waiting = any(order.cancellation == "PENDING" for order in self.model.orders.values())
        if not waiting and not picks_any(pick):
            approved = self.order(pick, "APPROVED")
            if self.model.has_erp and pick % 4:
                self.take_over(approved, f"S{len(self.model.orders)}-{pick}")
            self.reject_order(approved)
        pending_keys = [key for key, order in self.model.orders.items() if order.cancellation == "PENDING"]
        pending = self.perform(self.context.erp, "erp_pending_cancellations", set())
        assert {p["order_id"] for p in pending} == set(pending_keys)
        key = self.one_of(
            self.model.orders if picks_any(pick) or not pending_keys else pending_keys, pick // 8
        )
        order = self.model.orders[key]
        against = set() if order.cancellation else {"ILLEGAL_TRANSITION"}
        answer = self.perform(
            self.context.erp, "erp_ack_cancellation", against, order_id=key, outcome=outcome
        )
        if answer:
            # the first answer is final
            assert answer["duplicate"] == (order.cancellation != "PENDING")
            order.cancellation = answer["outcome"]

    @rule(later=hours)
    def time_passes(self, later: float) -> None:
        grow_older(self.conn, later)
        age = timedelta(hours=later)
        self.readings = [(at - age, moment, known) for at, moment, known in self.readings]
        self.model.now += Fraction(later)

    @rule(later=hours)
    def sweep_later(self, later: float) -> None:
        self.time_passes(later)
        self.run_job("sla-sweep")

    @rule(job=jobs)
    def run_job(self, job: str) -> None:
        run_job(self.conn, job)
        type(self).steps[job] += 1
        if job == "point-queue":
            self.model.vest()
        elif job == "sla-sweep":
            self.model.sweep()

    @rule(pick=picks)
    def look_after_people(self, pick: int) -> None:
        """Calls about people and escalations, which change neither orders nor stock nor money."""
        partner = self.one_of(self.context.partners, pick)
        account = {"role": "partner", "id": partner.sub}
        self.perform(partner, "update_profile", set(), chair_count=pick % 20)
        self.perform(self.context.admin, "invite", set(), **account)
        self.perform(self.context.admin, "revoke_sessions", set(), **account)
        open_ones = "select id from app.sla_escalation_logs where acknowledged_at is null order by id limit 1"
        for (escalation,) in self.conn.execute(open_ones).fetchall():
            self.perform(self.context.admin, "acknowledge_escalation", set(), escalation_id=escalation)

    # --- invariants after every step --------------------------------------------------------------

    @invariant()
    def every_invariant_holds(self) -> None:
        violations = self.conn.execute(self.invariant_query).fetchall()
        late = "was due at"
        # escalations are late until `run_job` runs the sweep
        assert [v for v in violations if not (v[0] == "escalations" and late in v[1])] == []

    @invariant()
    def the_model_agrees(self) -> None:
        seen = json.loads(value(self.conn, OBSERVED), parse_float=Decimal)
        expected = self.expected()
        for what, there in seen.items():
            with contextlib.suppress(KeyError):
                for key in there:
                    if there[key] != expected[what][key]:
                        note(f"{what} {key}: the database has {there[key]}, the model {expected[what][key]}")
            assert there == expected[what], what

    def expected(self) -> dict[str, dict[str, Any]]:
        """The expected result of OBSERVED."""
        model = self.model
        return {
            "partners": {p: [model.credit_used(p), model.balance(p)] for p in model.partners},
            "stock": {sku: [model.reserved(sku), model.display(sku)] for sku in model.products},
            "orders": {key: self.expected_order(o, o.quote) for key, o in model.orders.items()},
            "awaiting": {key: o.awaiting for key, o in model.orders.items()},
            "invoices": {k: self.expected_invoice(i) for k, i in model.invoices.items()},
            "points": {key: n for key in model.orders if (n := model.order_points(key))},
            "rewards": {r: model.left(r) for r in model.rewards},
            "redemptions": {k: r.status for k, r in model.redemptions.items()},
            "cancellations": {key: o.cancellation for key, o in model.orders.items() if o.cancellation},
            "escalations": {
                f"{key} {level}": n for key, o in model.orders.items() for level, n in o.escalations.items()
            },
        }

    def expected_invoice(self, invoice: Invoice) -> list[Any]:
        now = self.model.now
        settled = invoice.settled_at is not None and invoice.status == "PAID"
        return [
            invoice.status,
            invoice.amount,
            invoice.paid,
            invoice.credited,
            invoice.written_off,
            invoice.due,
            invoice.refund_due,
            float(invoice.due_at - now),
            float(invoice.settled_at - now) if settled and invoice.settled_at is not None else None,
        ]

    def expected_order(self, order: Order, quote: Quote) -> list[Any]:
        return [
            order.status,
            quote.subtotal,
            quote.discount,
            quote.point_discount,
            quote.total,
            quote.promise if order.submitted else 0,
            order.points_used,
            order.over_limit,
            order.released,
            order.subdist,
            order.assisted,
            order.erp,
        ]
