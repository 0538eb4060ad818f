"""The reference model: the rules of the hub in a few lines of Python, written independently of the SQL.

No running totals: credit used, reserved stock and balances are computed each time from the orders, invoices
and ledger. `against_...` returns the error codes that may refuse an operation; none: it must succeed.
"""

from collections import Counter
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Literal

OPEN = ("SUBMITTED", "PROCESSING")
BILLED = ("APPROVED", "SHIPPED", "COMPLETED")
LIFE = ("DRAFT", *OPEN, *BILLED)
"""The statuses that an order usually passes, in this order."""
CLOSED = ("REJECTED", "CANCELLED")
CENT = Decimal("0.01")
ADMINS = 2
SUPERADMINS = 1
SALESMEN = 2
"""Agents of the tests; the salesmen serve every region but Papua."""


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
    units: dict[str, Decimal] = field(default_factory=dict)
    """What a unit of each line is charged."""


@dataclass
class Return:
    lines: dict[str, int]
    credit: Decimal
    points: int


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
    answered: bool = False
    """Whether the present sub-distributor has answered."""
    clock: Fraction = Fraction(0)
    notified: set[str] = field(default_factory=set)
    escalations: Counter[str] = field(default_factory=Counter)
    erp: str | None = None
    cancellation: str | None = None
    """The ERP's answer to the cancellation: PENDING until it answers."""
    assisted: bool = False
    submitted: bool = False
    due_days: int = 0
    returns: list[Return] = field(default_factory=list)
    vested: int = 0
    """What the order has booked of its promise."""

    @property
    def waits_for_release(self) -> bool:
        return self.over_limit and not self.released

    @property
    def awaiting(self) -> str:
        """Who must act next."""
        if self.status == "DRAFT":
            return "PARTNER"
        if self.status not in (*OPEN, "APPROVED"):
            return "NONE"
        if self.waits_for_release or self.subdist is None:
            return "HEADQUARTERS"
        if self.status == "PROCESSING" and self.answered:
            return "HEADQUARTERS"
        return "SUBDIST"

    @property
    def credited(self) -> Decimal:
        return sum((r.credit for r in self.returns), Decimal(0))

    def left(self, sku: str) -> int:
        """Units that were not returned."""
        return self.lines.get(sku, 0) - sum(r.lines.get(sku, 0) for r in self.returns)

    def value(self, lines: dict[str, int]) -> Decimal:
        """What these units were charged, before used points."""
        return sum((self.quote.units[sku] * n for sku, n in lines.items()), Decimal(0))


@dataclass
class Booking:
    """A payment, or with a negative amount a reversal or a refund."""

    kind: Literal["PAYMENT", "REVERSAL", "REFUND"]
    amount: Decimal
    paid_at: Fraction
    reference: str | None = None
    key: str | None = None
    is_reversed: bool = False


@dataclass
class Invoice:
    order: str
    amount: Decimal
    due_at: Fraction = Fraction(0)
    bookings: dict[str, Booking] = field(default_factory=dict)
    credited: Decimal = Decimal(0)
    written_off: Decimal = Decimal(0)
    is_written_off: bool = False
    cancelled: bool = False
    cancel_reason: str = ""
    settled_at: Fraction | None = None
    is_queued: bool = False
    """Its points wait for the queue and do not count yet."""
    """Date of what settled it."""

    @property
    def paid(self) -> Decimal:
        return sum((b.amount for b in self.bookings.values()), Decimal(0))

    @property
    def charged(self) -> Decimal:
        return self.amount - self.credited - self.written_off

    @property
    def due(self) -> Decimal:
        return Decimal(0) if self.cancelled else max(Decimal(0), self.charged - self.paid)

    @property
    def refund_due(self) -> Decimal:
        return self.paid if self.cancelled else max(Decimal(0), self.paid - self.charged)

    @property
    def status(self) -> str:
        if self.cancelled:
            return "CANCELLED"
        return "PAID" if self.due == 0 else "PARTIAL" if self.paid else "UNPAID"

    def find(self, reference: str | None) -> Booking | None:
        """The payment with this reference that was not reversed."""
        known = [b for b in self.bookings.values() if b.kind == "PAYMENT" and not b.is_reversed]
        same = [b for b in known if b.reference and reference and plain(b.reference) == plain(reference)]
        return same[0] if same else None


def plain(reference: str) -> str:
    """The reference as it is compared: without case and spaces."""
    return "".join(reference.split()).upper()


def floor_cents(amount: Fraction) -> Decimal:
    return Decimal(int(amount * 100)) / 100


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
            "invoice.due_days.silver": Decimal(30),
            "invoice.due_days.gold": Decimal(45),
            "invoice.due_days.platinum": Decimal(60),
            "invoice.write_off_max": Decimal(10000),
            "erp.kind": "none",
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
        orders = {key: o for key, o in self.orders.items() if o.partner == partner}
        ordered = [o.quote.total for o in orders.values() if o.status in OPEN]
        unbilled = [self.unbilled(key) for key, o in orders.items() if o.status in BILLED]
        due = [i.due for i in self.invoices.values() if i.order in orders]
        return sum(ordered + unbilled + due, Decimal(0))

    def live(self, order: str) -> list[Invoice]:
        """The invoices of an order that were not cancelled, oldest first."""
        return [i for i in self.invoices.values() if i.order == order and not i.cancelled]

    def unbilled(self, order: str) -> Decimal:
        billed = sum((i.amount for i in self.live(order)), Decimal(0))
        return max(Decimal(0), self.orders[order].quote.total - billed)

    def points_target(self, order: str) -> int:
        """What the paid invoices of an order have earned of its promise, without those in the queue."""
        at = self.orders[order]
        remaining = at.quote.total - at.credited
        if remaining == 0:
            return 0
        promise = int(at.quote.promise * Fraction(remaining) / Fraction(at.quote.total))
        paid = [i for i in self.live(order) if i.status == "PAID" and not i.is_queued]
        earned = sum((i.amount - i.credited for i in paid), Decimal(0))
        # what was written off is settled, too, but the goods that stay earn no more than their promise
        return min(promise, int(promise * Fraction(earned) / Fraction(remaining)))

    def order_points(self, order: str) -> int:
        """The sum of an order's rows in the ledger."""
        at = self.orders[order]
        used = 0 if at.status in CLOSED else at.points_used
        return at.vested + sum(r.points for r in at.returns) - used

    def balance(self, partner: str) -> int:
        return sum(points for who, points in self.ledger if who == partner)

    @property
    def has_erp(self) -> bool:
        return self.rules["erp.kind"] != "none"

    def reserved(self, sku: str) -> int:
        """Units on order that are still in the stock: an ERP takes them over, or shipping does."""
        holding = OPEN + (BILLED if self.has_erp else ("APPROVED",))
        live = [o for o in self.orders.values() if o.status in holding and o.erp is None]
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
        units = {sku: price for sku, (_, price) in prices.items()}
        return Quote(subtotal, subtotal - charged, value, total, promise, units)

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
        if not legal or (to == "APPROVED" and at.awaiting != "HEADQUARTERS"):
            return {"ILLEGAL_TRANSITION"}
        if to in ("SHIPPED", "COMPLETED") and self.unbilled(order):
            return {"NOT_BILLED"}
        return set()

    def against_rerouting(self, order: str, subdist: str) -> set[str]:
        at, reasons = self.orders[order], set()
        if at.status not in (*OPEN, "APPROVED") or at.waits_for_release:
            reasons.add("NOT_ROUTABLE")
        if not self.subdists[subdist]:
            reasons.add("SUBDIST_UNAVAILABLE")
        return reasons

    def against_answering(self, order: str, subdist: str, decision: str) -> set[str]:
        at = self.orders[order]
        if stranger := self.against_acting(order, subdist):
            return stranger
        legal = at.status in OPEN or (at.status == "APPROVED" and decision != "ACCEPT")
        return set() if legal else {"ILLEGAL_TRANSITION"}

    def against_acting(self, order: str, subdist: str) -> set[str]:
        """Against anything that a sub-distributor does with an order."""
        if not self.subdists[subdist]:
            return {"ACCOUNT_INACTIVE"}
        return set() if self.orders[order].subdist == subdist else {"NOT_FOUND"}

    def against_delivering(self, order: str, to: str, subdist: str | None) -> set[str]:
        stranger = self.against_acting(order, subdist) if subdist else set()
        return stranger or self.against_moving(order, to)

    def against_releasing(self, order: str) -> set[str]:
        at = self.orders[order]
        return set() if at.status == "SUBMITTED" and at.waits_for_release else {"NOT_RELEASABLE"}

    def against_paying(self, invoice: str, amount: Decimal, reference: str) -> set[str]:
        at = self.invoices[invoice]
        if known := at.find(reference):
            return set() if known.amount == amount else {"PAYMENT_REFERENCE_REUSED"}
        if at.status in ("PAID", "CANCELLED"):
            return {"INVOICE_CLOSED"}
        return {"PAYMENT_EXCEEDS_DUE"} if amount > at.due else set()

    def against_paying_by_erp(self, invoice: str, amount: Decimal, reference: str) -> set[str]:
        """The same, and a payment that equals a reversed one: a person decides."""
        at = self.invoices[invoice]
        reasons = self.against_paying(invoice, amount, reference)
        gone = [b.reference for b in at.bookings.values() if b.is_reversed and b.amount == amount]
        if not at.find(reference) and plain(reference) in [plain(r) for r in gone if r]:
            reasons = reasons | {"PAYMENT_REVERSED"}
        return reasons

    def against_cancelling_invoice(self, invoice: str, reason: str) -> set[str]:
        at = self.invoices[invoice]
        return {"INVOICE_CLOSED"} if at.cancelled and at.cancel_reason != reason else set()

    def against_issuing(self, order: str, amount: Decimal) -> set[str]:
        if self.orders[order].status not in BILLED:
            return {"NOT_BILLABLE"}
        return {"INVOICE_EXCEEDS_ORDER"} if amount > self.unbilled(order) else set()

    def against_reversing(self, invoice: str, payment: str) -> set[str]:
        at = self.invoices[invoice]
        booking = at.bookings[payment]
        if booking.kind != "PAYMENT":
            return {"PAYMENT_NOT_REVERSIBLE"}
        # what was refunded cannot be taken back a second time
        return {"PAYMENT_NOT_REVERSIBLE"} if not booking.is_reversed and at.paid < booking.amount else set()

    def against_returning(self, order: str, lines: dict[str, int]) -> set[str]:
        at = self.orders[order]
        if at.status not in ("SHIPPED", "COMPLETED"):
            return {"NOT_RETURNABLE"}
        return {"RETURN_EXCEEDS_SHIPPED"} if any(n > at.left(sku) for sku, n in lines.items()) else set()

    def against_refunding(self, invoice: str, amount: Decimal) -> set[str]:
        return {"REFUND_EXCEEDS_DUE"} if amount > self.invoices[invoice].refund_due else set()

    def against_writing_off(self, invoice: str) -> set[str]:
        at = self.invoices[invoice]
        if at.is_written_off:
            return set()
        if at.status in ("PAID", "CANCELLED"):
            return {"INVOICE_CLOSED"}
        return {"WRITE_OFF_TOO_LARGE"} if at.due > self.number("invoice.write_off_max") else set()

    def against_redeeming(self, partner: str, reward: str) -> set[str]:
        reasons = set()
        if self.left(reward) < 1:
            reasons.add("REWARD_UNAVAILABLE")
        if self.rewards[reward][0] > self.balance(partner):
            reasons.add("POINTS_INSUFFICIENT")
        return reasons

    def against_deleting(self, partner: str) -> set[str]:
        orders = {key: o for key, o in self.orders.items() if o.partner == partner}
        is_open = any(o.status in (*OPEN, "APPROVED", "SHIPPED") for o in orders.values())
        is_owed = any(i.refund_due for i in self.invoices.values() if i.order in orders)
        return {"PARTNER_NOT_SETTLED"} if is_open or is_owed or self.credit_used(partner) else set()

    # --- operations -------------------------------------------------------------------------------

    def delete(self, partner: str) -> None:
        """Delete a partner, whose drafts are cancelled."""
        for order in self.orders.values():
            if order.partner == partner and order.status == "DRAFT":
                order.status = "CANCELLED"

    def route(self, order: Order, subdist: str | None) -> None:
        """Give it to a sub-distributor, or to headquarters; a new turn begins."""
        order.subdist, order.answered = subdist, False
        self.restart_clock(order)

    def restart_clock(self, order: Order) -> None:
        """No one has been notified of the new clock."""
        order.clock, order.notified = self.now, set()

    def hand_over(self, order: Order, subdist: str | None) -> None:
        """Give it to another sub-distributor; the turn of headquarters goes on."""
        before = order.awaiting
        order.subdist, order.answered = subdist, False
        if (before, order.awaiting) != ("HEADQUARTERS", "HEADQUARTERS"):
            self.restart_clock(order)

    def respond(self, order: Order, decision: str) -> None:
        if decision == "DECLINE":
            self.hand_over(order, None)
            return
        before = order.awaiting
        order.answered = True
        if decision == "ACCEPT":
            order.status = "PROCESSING"
        if before != "HEADQUARTERS":
            self.restart_clock(order)

    def submit(self, order: Order, points: int, *, assisted: bool) -> None:
        order.over_limit = self.is_over(order.partner, order.lines, points)
        order.quote = self.quote(order.partner, order.lines, points)
        order.status, order.points_used, order.assisted = "SUBMITTED", points, assisted
        order.submitted = True
        order.due_days = int(self.number(f"invoice.due_days.{self.partners[order.partner].tier.lower()}"))
        if points:
            self.ledger.append((order.partner, -points))

    def move(self, order: str, to: str, reason: str = "") -> None:
        at = self.orders[order]
        was, at.status = at.status, to
        if to == "APPROVED":
            self.restart_clock(at)
        if to == "SHIPPED" and not self.has_erp:
            for sku, quantity in at.lines.items():
                self.products[sku].stock -= quantity
        if to not in CLOSED:
            return
        if was == "APPROVED":
            at.cancellation = "PENDING"
        if was != "DRAFT" and at.points_used:
            self.ledger.append((at.partner, at.points_used))
        for key, invoice in self.invoices.items():
            if invoice.order == order and not invoice.cancelled:
                self.cancel_invoice(key, reason or to)

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

    def issue(self, key: str, order: str, amount: Decimal, due_at: Fraction | None = None) -> None:
        """Bill an order; a credit that no live invoice carries lowers the new one."""
        at = self.orders[order]
        free = at.credited - sum((i.credited for i in self.live(order)), Decimal(0))
        due = self.now + 24 * at.due_days if due_at is None else due_at
        invoice = self.invoices[key] = Invoice(order, amount, due, credited=min(free, amount))
        self.settle(invoice, self.now)

    def cancel_invoice(self, invoice: str, reason: str) -> None:
        at = self.invoices[invoice]
        at.cancelled, at.cancel_reason, at.settled_at = True, reason, None
        self.book_points(at.order)

    def pay(self, invoice: str, payment: str, booking: Booking) -> None:
        at = self.invoices[invoice]
        if payment not in at.bookings:
            at.bookings[payment] = booking
            self.settle(at, booking.paid_at)

    def settle(self, invoice: Invoice, date: Fraction) -> None:
        """Store the date of what settled the invoice; its points vest by the queue."""
        if invoice.status != "PAID":
            invoice.settled_at = None
        elif invoice.settled_at is None:
            invoice.settled_at = date
            invoice.is_queued = True

    def reverse(self, invoice: str, payment: str, reversal: str) -> None:
        at = self.invoices[invoice]
        original = at.bookings[payment]
        original.is_reversed = True
        at.bookings[reversal] = Booking("REVERSAL", -original.amount, self.now, original.reference)
        self.settle(at, self.now)
        self.book_points(at.order)

    def refund(self, invoice: str, payment: str, booking: Booking) -> None:
        self.invoices[invoice].bookings[payment] = booking

    def write_off(self, invoice: str) -> None:
        at = self.invoices[invoice]
        if not at.is_written_off:
            at.written_off, at.is_written_off = at.due, True
            self.settle(at, self.now)

    def credit_of(self, order: str, lines: dict[str, int]) -> tuple[Decimal, int]:
        """What a return of these units credits, and the used points that come back."""
        at = self.orders[order]
        if all(at.left(sku) == lines.get(sku, 0) for sku in at.lines):
            return at.quote.total - at.credited, at.points_used - sum(r.points for r in at.returns)
        whole = Fraction(at.value(at.lines))
        if whole == 0:
            return Decimal(0), 0
        share = Fraction(at.quote.point_discount) / whole
        values = [Fraction(at.value({sku: n})) for sku, n in lines.items()]
        credit = sum((floor_cents(value - value * share) for value in values), Decimal(0))
        return credit, int(at.points_used * sum(values) / whole)

    def take_back(self, order: str, lines: dict[str, int]) -> None:
        """Returned goods: credit what they were charged, open invoices first."""
        at = self.orders[order]
        credit, points = self.credit_of(order, lines)
        at.returns.append(Return(lines, credit, points))
        if points:
            self.ledger.append((at.partner, points))
        rest = credit
        live = self.live(order)
        for invoice in sorted((i for i in live if i.due), key=lambda i: i.due_at):
            part = min(rest, invoice.due)
            invoice.credited += part
            rest -= part
            self.settle(invoice, self.now)
        for invoice in reversed([i for i in live if i.status == "PAID"]):
            part = min(rest, invoice.charged)
            invoice.credited += part
            rest -= part
        self.book_points(order)

    def book_points(self, order: str) -> None:
        """Book what the order has earned less what it has booked so far."""
        at = self.orders[order]
        difference = self.points_target(order) - at.vested
        if difference:
            at.vested += difference
            self.ledger.append((at.partner, difference))

    def vest(self) -> None:
        """Run the point queue."""
        for invoice in self.invoices.values():
            if invoice.is_queued:
                invoice.is_queued = False
                self.book_points(invoice.order)

    def sweep(self) -> None:
        """Run the service-level sweep."""
        for order in self.orders.values():
            salesmen = 0 if self.partners[order.partner].region == "papua" else SALESMEN
            levels = {
                "SUBDIST": (
                    ("REMINDER", 18, 1),
                    ("MANAGER", 21, salesmen or ADMINS + SUPERADMINS),
                    ("HQ_INTERVENTION", 24, ADMINS + SUPERADMINS),
                ),
                "HEADQUARTERS": (("REMINDER", 4, ADMINS), ("HQ_INTERVENTION", 24, SUPERADMINS)),
            }
            for level, hours, recipients in levels.get(order.awaiting, ()):
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
