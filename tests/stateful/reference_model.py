"""The reference model: the rules of the hub in a few lines of Python, written independently of the SQL.

No running totals: credit used, reserved stock and balances are computed each time from the orders, invoices
and ledger. `against_...` returns the error codes that may refuse an operation; none: it must succeed.
"""

from collections import Counter
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

OPEN = ("SUBMITTED", "PROCESSING")
BILLED = ("APPROVED", "SHIPPED", "COMPLETED")
CLOSED = ("REJECTED", "CANCELLED")
CENT = Decimal("0.01")
HEADQUARTERS = 2
"""Admins of the context of the tests; two salesmen serve every region but Papua."""


@dataclass
class Partner:
    tier: str
    region: str
    credit_limit: Decimal


@dataclass
class Price:
    """A row of the schedule; hours on the model's clock."""

    since: Fraction
    until: Fraction
    price: Decimal
    discount_from: int | None = None
    discount_price: Decimal | None = None


@dataclass
class Product:
    base_price: Decimal
    stock: int
    buffer: int = 0
    active: bool = True
    read_at: int = 0
    """The moment of the last reading of its stock."""
    schedule: dict[str, list[Price]] = field(default_factory=dict)


@dataclass
class Quote:
    subtotal: Decimal
    discount: Decimal
    point_discount: Decimal
    total: Decimal
    promise: int


@dataclass
class Order:
    partner: str
    lines: dict[str, int]
    quote: Quote
    status: str = "DRAFT"
    points_used: int = 0
    over_limit: bool = False
    released: bool = False
    subdist: str | None = None
    clock: Fraction = Fraction(0)
    notified: set[str] = field(default_factory=set)
    escalations: Counter[str] = field(default_factory=Counter)
    erp: str | None = None
    cancellation: str | None = None
    """The ERP's answer to the cancellation: PENDING until it answers."""
    assisted: bool = False
    submitted: bool = False

    @property
    def waits_for_release(self) -> bool:
        return self.over_limit and not self.released


@dataclass
class Invoice:
    order: str
    amount: Decimal
    payments: dict[str, Decimal] = field(default_factory=dict)
    cancelled: bool = False
    queued: bool = False
    vested: int = 0

    @property
    def paid(self) -> Decimal:
        return sum(self.payments.values(), Decimal(0))

    @property
    def status(self) -> str:
        if self.cancelled:
            return "CANCELLED"
        return "PAID" if self.paid == self.amount else "PARTIAL" if self.paid else "UNPAID"


@dataclass
class Redemption:
    partner: str
    reward: str
    points: int
    status: str = "PENDING"


@dataclass
class Model:
    partners: dict[str, Partner]
    products: dict[str, Product]
    rewards: dict[str, tuple[int, int]]
    subdists: dict[str, bool]
    """Whether each sub-distributor of West Java is active."""
    rules: dict[str, Decimal | str] = field(
        default_factory=lambda: {
            "loyalty.rupiah_per_point": Decimal(10000),
            "loyalty.point_value_rupiah": Decimal(100),
            "loyalty.multiplier.silver": Decimal("1.00"),
            "loyalty.multiplier.gold": Decimal("1.20"),
            "loyalty.multiplier.platinum": Decimal("1.50"),
            "order.minimum_threshold": Decimal(500000),
            "credit.over_limit_policy": "FLAG",
        }
    )
    now: Fraction = Fraction(0)
    orders: dict[str, Order] = field(default_factory=dict)
    invoices: dict[str, Invoice] = field(default_factory=dict)
    redemptions: dict[str, Redemption] = field(default_factory=dict)
    ledger: list[tuple[str, int]] = field(default_factory=list)
    taken_over: list[str] = field(default_factory=list)
    """Orders in the order in which the ERP took them over."""
    moment: int = 0

    # --- derived figures --------------------------------------------------------------------------

    def number(self, key: str) -> Decimal:
        return Decimal(self.rules[key])

    def credit_used(self, partner: str) -> Decimal:
        ordered = [o.quote.total for o in self.orders.values() if o.partner == partner and o.status in OPEN]
        due = [
            i.amount - i.paid
            for i in self.invoices.values()
            if not i.cancelled and self.orders[i.order].partner == partner
        ]
        return sum(ordered + due, Decimal(0))

    def balance(self, partner: str) -> int:
        return sum(points for who, points in self.ledger if who == partner)

    def reserved(self, sku: str) -> int:
        live = [o for o in self.orders.values() if o.status in OPEN + BILLED and o.erp is None]
        return sum(o.lines.get(sku, 0) for o in live)

    def display(self, sku: str) -> int:
        product = self.products[sku]
        return max(0, product.stock - product.buffer - self.reserved(sku))

    def left(self, reward: str) -> int:
        taken = [r for r in self.redemptions.values() if r.reward == reward and r.status != "CANCELLED"]
        return self.rewards[reward][1] - len(taken)

    def open_orders(self, subdist: str) -> int:
        return sum(o.subdist == subdist and o.status in OPEN for o in self.orders.values())

    def served_by(self, partner: str) -> set[str | None]:
        """The sub-distributors that may get a new order: the least busy active ones, or None."""
        active = [s for s, is_active in self.subdists.items() if is_active]
        if self.partners[partner].region == "papua" or not active:
            return {None}
        least = min(map(self.open_orders, active))
        return {s for s in active if self.open_orders(s) == least}

    # --- prices -----------------------------------------------------------------------------------

    def unit_prices(self, tier: str, sku: str, quantity: int) -> tuple[Decimal, Decimal]:
        """List price and what is charged."""
        product = self.products[sku]
        for row in product.schedule.get(tier, []):
            if row.since <= self.now < row.until:
                if (
                    row.discount_from is not None
                    and row.discount_price is not None
                    and quantity >= row.discount_from
                ):
                    return row.price, row.discount_price
                return row.price, row.price
        return product.base_price, product.base_price

    def quote(self, partner: str, lines: dict[str, int], points: int) -> Quote:
        tier = self.partners[partner].tier
        prices = {sku: self.unit_prices(tier, sku, n) for sku, n in lines.items()}
        subtotal = sum((prices[sku][0] * n for sku, n in lines.items()), Decimal(0))
        charged = sum((prices[sku][1] * n for sku, n in lines.items()), Decimal(0))
        value = (points * self.number("loyalty.point_value_rupiah")).quantize(CENT, ROUND_HALF_UP)
        total = charged - value
        promise = 0
        if total >= self.number("order.minimum_threshold"):
            exact = Fraction(total) / Fraction(self.number("loyalty.rupiah_per_point"))
            promise = int(exact * Fraction(self.number(f"loyalty.multiplier.{tier.lower()}")))
        return Quote(subtotal, subtotal - charged, value, total, promise)

    # --- reasons for a refusal --------------------------------------------------------------------

    def against_ordering(self, partner: str, lines: dict[str, int], points: int) -> set[str]:
        """Against quoting; against submitting see `against_submitting`."""
        if not all(self.products[sku].active for sku in lines):
            return {"UNKNOWN_SKU"}
        reasons = set()
        before = self.quote(partner, lines, 0)
        if points > max(0, self.balance(partner)):
            reasons.add("POINTS_INSUFFICIENT")
        if points * self.number("loyalty.point_value_rupiah") > before.total:
            reasons.add("POINTS_EXCEED_TOTAL")
        return reasons

    def against_submitting(self, partner: str, lines: dict[str, int], points: int) -> set[str]:
        reasons = self.against_ordering(partner, lines, points)
        if any(n > self.display(sku) for sku, n in lines.items()):
            reasons.add("OUT_OF_STOCK")
        if "UNKNOWN_SKU" in reasons:
            return reasons
        if self.rules["credit.over_limit_policy"] == "BLOCK" and self.is_over(partner, lines, points):
            reasons.add("CREDIT_LIMIT_EXCEEDED")
        return reasons

    def is_over(self, partner: str, lines: dict[str, int], points: int) -> bool:
        total = self.quote(partner, lines, points).total
        return total > 0 and self.credit_used(partner) + total > self.partners[partner].credit_limit

    def against_moving(self, order: str, to: str) -> set[str]:
        at = self.orders[order]
        legal = {
            "APPROVED": at.status == "PROCESSING"
            or (at.status == "SUBMITTED" and at.subdist is None and not at.waits_for_release),
            "SHIPPED": at.status == "APPROVED",
            "COMPLETED": at.status == "SHIPPED",
        }.get(to, at.status in ("DRAFT", *OPEN, "APPROVED"))
        return set() if legal else {"ILLEGAL_TRANSITION"}

    def against_rerouting(self, order: str, subdist: str) -> set[str]:
        at, reasons = self.orders[order], set()
        if at.status not in OPEN or at.waits_for_release:
            reasons.add("NOT_ROUTABLE")
        if not self.subdists[subdist]:
            reasons.add("SUBDIST_UNAVAILABLE")
        return reasons

    def against_answering(self, order: str, subdist: str) -> set[str]:
        if not self.subdists[subdist]:
            return {"ACCOUNT_INACTIVE"}
        at = self.orders[order]
        if at.subdist != subdist:
            return {"NOT_FOUND"}
        return set() if at.status in OPEN else {"ILLEGAL_TRANSITION"}

    def against_releasing(self, order: str) -> set[str]:
        at = self.orders[order]
        return set() if at.status == "SUBMITTED" and at.waits_for_release else {"NOT_RELEASABLE"}

    def against_paying(self, invoice: str, amount: Decimal, reference: str) -> set[str]:
        at = self.invoices[invoice]
        if reference in at.payments:
            return set() if at.payments[reference] == amount else {"PAYMENT_REFERENCE_REUSED"}
        if at.status in ("PAID", "CANCELLED"):
            return {"INVOICE_CLOSED"}
        return {"PAYMENT_EXCEEDS_DUE"} if amount > at.amount - at.paid else set()

    def against_redeeming(self, partner: str, reward: str) -> set[str]:
        reasons = set()
        if self.left(reward) < 1:
            reasons.add("REWARD_UNAVAILABLE")
        if self.rewards[reward][0] > self.balance(partner):
            reasons.add("POINTS_INSUFFICIENT")
        return reasons

    # --- operations -------------------------------------------------------------------------------

    def route(self, order: Order, subdist: str | None) -> None:
        """Start a new clock, for which no one has been notified."""
        order.subdist, order.clock = subdist, self.now
        order.notified = set()

    def submit(self, order: Order, points: int, *, assisted: bool) -> None:
        order.over_limit = self.is_over(order.partner, order.lines, points)
        order.quote = self.quote(order.partner, order.lines, points)
        order.status, order.points_used, order.assisted = "SUBMITTED", points, assisted
        order.submitted = True
        if points:
            self.ledger.append((order.partner, -points))

    def move(self, order: str, to: str) -> None:
        at = self.orders[order]
        was, at.status = at.status, to
        if to not in CLOSED:
            return
        if was == "APPROVED":
            at.cancellation = "PENDING"
        if was != "DRAFT" and at.points_used:
            self.ledger.append((at.partner, at.points_used))
        for key, invoice in self.invoices.items():
            if invoice.order == order and not invoice.cancelled:
                self.cancel_invoice(key)

    def next_moment(self) -> int:
        self.moment += 1
        return self.moment

    def take_over(self, order: str, reference: str) -> None:
        """The ERP books its units from now on; an order cancelled meanwhile must be cancelled there."""
        at = self.orders[order]
        if at.erp is None:
            for sku, quantity in at.lines.items():
                self.products[sku].stock -= quantity
            self.taken_over.append(order)
            if at.cancellation:
                at.cancellation = "PENDING"
        at.erp = reference

    def read_stock(self, sku: str, level: int, moment: int, known: int) -> bool:
        """A level that was read when the ERP had `known` orders; False if a later reading was applied."""
        product = self.products[sku]
        if moment < product.read_at:
            return False
        since = sum(self.orders[order].lines.get(sku, 0) for order in self.taken_over[known:])
        product.stock, product.read_at = level - since, moment
        return True

    def cancel_invoice(self, invoice: str) -> None:
        at = self.invoices[invoice]
        at.cancelled = True
        if at.vested:
            self.ledger.append((self.orders[at.order].partner, -at.vested))

    def pay(self, invoice: str, amount: Decimal, reference: str) -> None:
        at = self.invoices[invoice]
        if reference not in at.payments:
            at.payments[reference] = amount
            at.queued = at.status == "PAID"

    def vest(self) -> None:
        """Run the point queue: each order here has one invoice, which bears the whole promise."""
        for invoice in self.invoices.values():
            if invoice.queued and invoice.status == "PAID":
                order = self.orders[invoice.order]
                invoice.vested = order.quote.promise
                self.ledger.append((order.partner, invoice.vested))
            invoice.queued = False

    def sweep(self) -> None:
        """Run the service-level sweep."""
        for order in self.orders.values():
            if order.status not in OPEN or order.subdist is None or "HQ_INTERVENTION" in order.notified:
                continue
            levels = (("REMINDER", 18, 1), ("MANAGER", 21, 2), ("HQ_INTERVENTION", 24, HEADQUARTERS))
            for level, hours, recipients in levels:
                if self.now - order.clock >= hours and level not in order.notified:
                    order.notified.add(level)
                    order.escalations[level] += recipients

    def advance(self, redemption: str, to: str) -> set[str]:
        at = self.redemptions[redemption]
        if (at.status, to) not in {
            ("PENDING", "SHIPPED"),
            ("SHIPPED", "DELIVERED"),
            ("PENDING", "CANCELLED"),
        }:
            return {"ILLEGAL_TRANSITION"}
        at.status = to
        if to == "CANCELLED":
            self.ledger.append((at.partner, at.points))
        return set()
