"""The machine with corrections: what headquarters does when something went wrong."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.stateful.machine import DAY, OrderMachine, picks, picks_any
from tests.stateful.reference_model import BILLED, Booking
from tests.support.context import line

AMOUNTS = ("amount", "points")
"""Arguments that a repeated call with the same key must not change."""

KEPT_BY_BANK = Decimal(2500)

shares = st.sampled_from([1, 1, 2, 3])
extras = st.sampled_from([Decimal(0)] * 3 + [Decimal("0.01")])


class CorrectionMachine(OrderMachine):
    """Each correction has a key or is known by its subject; `repeat` makes it again."""

    def key(self) -> str:
        return f"key {len(self.repeatable)} {type(self).steps.total()}"

    # --- invoices ---------------------------------------------------------------------------------

    @precondition(lambda self: self.model.invoices)
    @rule(pick=picks, share=shares, extra=extras, due=st.sampled_from([0, 5, 30]))
    def bill_again(self, pick: int, share: int, extra: Decimal, due: int) -> None:
        """Bill what is not billed; where all is, cancel an invoice first."""
        unbilled = self.unbilled()
        live = [k for k, i in self.model.invoices.items() if not i.cancelled]
        if not unbilled and live and not picks_any(pick):
            self.cancel_invoice_of(self.one_of(live, pick), "salah cetak")
            unbilled = self.unbilled()
        order = self.one_of(self.model.orders if picks_any(pick) or not unbilled else unbilled, pick // 8)
        self.bill(order, share, extra, due)

    def unbilled(self) -> list[str]:
        orders = self.model.orders
        return [k for k, o in orders.items() if o.status in BILLED and self.model.unbilled(k)]

    def bill(self, order: str, share: int, extra: Decimal, due: int) -> None:
        amount = (self.model.unbilled(order) / share).quantize(Decimal("0.01")) + extra
        if amount <= 0:
            amount = Decimal("0.01")
        made = self.perform_once(
            self.context.admin,
            "issue_invoice",
            self.model.against_issuing(order, amount),
            order_id=order,
            amount=amount,
            due_date=(datetime.now(UTC) + timedelta(days=due)).isoformat(),
            reason="ditagih ulang",
            idempotency_key=self.key(),
        )
        if made:
            self.model.issue(made["id"], order, amount, self.model.now + DAY * due)

    # --- payments ---------------------------------------------------------------------------------

    @precondition(lambda self: self.model.invoices)
    @rule(pick=picks, share=shares, days_ago=st.sampled_from([0, 0, 2]), reference=st.booleans())
    def pay_by_key(self, pick: int, share: int, days_ago: int, reference: bool) -> None:
        """Record a payment with an idempotency key, and often without a reference."""
        open_ones = self.invoices_due(pick)
        if not open_ones:
            return
        key = self.one_of(open_ones, pick)
        invoice = self.model.invoices[key]
        amount = (invoice.due / share).quantize(Decimal("0.01")) or Decimal("0.01")
        number = f"TRF {self.key()}" if reference else None
        paid_at = datetime.now(UTC) - timedelta(days=days_ago)
        done = self.perform_once(
            self.context.admin,
            "record_payment",
            self.model.against_paying(key, amount, number or ""),
            invoice_id=key,
            amount=amount,
            reference_number=number,
            paid_at=paid_at.isoformat(),
            idempotency_key=self.key(),
        )
        if done:
            date = self.model.now - DAY * days_ago
            self.model.pay(key, done["payment_id"], Booking("PAYMENT", amount, date, number))

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks)
    def reverse_payment(self, pick: int) -> None:
        """Where no payment is recorded, one is first."""
        if not any(i.bookings for i in self.model.invoices.values()):
            for due in self.invoices_due(pick)[:1]:
                self.book(due, self.model.invoices[due].due, f"B{pick}")
        bookings = [
            (invoice, payment, booking)
            for invoice, i in self.model.invoices.items()
            for payment, booking in i.bookings.items()
        ]
        if not bookings:
            return
        unreversed = [b for b in bookings if b[2].kind == "PAYMENT" and not b[2].is_reversed]
        key, payment, booking = self.one_of(
            bookings if picks_any(pick) or not unreversed else unreversed, pick // 8
        )
        again = booking.is_reversed
        done = self.perform_once(
            self.context.admin,
            "reverse_payment",
            self.model.against_reversing(key, payment),
            payment_id=payment,
            reason="salah ketik",
        )
        if done and not again:
            self.model.reverse(key, payment, done["id"])

    @precondition(lambda self: any(i.refund_due for i in self.model.invoices.values()))
    @rule(pick=picks, share=shares, extra=extras)
    def refund(self, pick: int, share: int, extra: Decimal) -> None:
        owed = [k for k, i in self.model.invoices.items() if i.refund_due]
        key = self.one_of(self.model.invoices if picks_any(pick) else owed, pick // 8)
        invoice = self.model.invoices[key]
        amount = (invoice.refund_due / share).quantize(Decimal("0.01")) + extra
        if amount <= 0:
            amount = Decimal("0.01")
        number = f"OUT {self.key()}"
        done = self.perform_once(
            self.context.admin,
            "record_refund",
            self.model.against_refunding(key, amount),
            invoice_id=key,
            amount=amount,
            reference_number=number,
            reason="kelebihan bayar",
            idempotency_key=self.key(),
        )
        if done:
            refund = Booking("REFUND", -amount, self.model.now, number)
            self.model.refund(key, done["id"], refund)

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks)
    def write_off(self, pick: int) -> None:
        if not self.invoices_due(pick) and not self.model.invoices:
            return
        limit = self.model.number("invoice.write_off_max")
        small = [k for k, i in self.model.invoices.items() if 0 < i.due <= limit]
        large = [k for k, i in self.model.invoices.items() if i.due > KEPT_BY_BANK]
        if not small and large and not picks_any(pick):
            key = self.one_of(large, pick)
            due = self.model.invoices[key].due
            self.book(key, due - KEPT_BY_BANK, f"W{pick} {len(self.model.invoices[key].bookings)}")
            small = [key]
        if not small and not picks_any(pick):
            return
        key = self.one_of(self.model.invoices if picks_any(pick) or not small else small, pick // 8)
        done = self.perform_once(
            self.context.admin,
            "write_off",
            self.model.against_writing_off(key),
            invoice_id=key,
            reason="biaya bank",
        )
        if done:
            self.model.write_off(key)

    # --- goods ------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks, share=st.sampled_from([1, 2, 2, 3]), extra=st.sampled_from([0] * 7 + [1]), what=picks)
    def take_back(self, pick: int, share: int, extra: int, what: int) -> None:
        key = self.order(pick, "SHIPPED", "COMPLETED")
        order = self.model.orders[key]
        # all of what is left, or a part of one line or of each
        lines = {sku: -(-order.left(sku) // share) + extra for sku in sorted(order.lines)}
        if what % 3 == 0:
            sku = self.one_of(lines, what)
            lines = {sku: lines[sku]}
        lines = {sku: n for sku, n in lines.items() if n > 0}
        if not lines:
            return
        done = self.perform_once(
            self.context.admin,
            "return_items",
            self.model.against_returning(key, lines),
            order_id=key,
            items=[line(sku, n) for sku, n in lines.items()],
            reason="rusak",
            idempotency_key=self.key(),
        )
        if done:
            self.model.take_back(key, lines)

    @precondition(lambda self: self.model.orders)
    @rule(pick=picks)
    def proceed_far(self, pick: int) -> None:
        """Do several steps of an order's usual life: corrections need late ones."""
        for _ in range(5):
            self.proceed_with(pick)

    # --- points -----------------------------------------------------------------------------------

    @rule(who=picks, amount=st.integers(-300, 600).filter(bool))
    def adjust_points(self, who: int, amount: int) -> None:
        self.change_points("adjust_points", self.one_of(self.partners, who), amount, amount)

    @rule(who=picks, amount=st.integers(1, 400))
    def expire_points(self, who: int, amount: int) -> None:
        self.change_points("expire_points", self.one_of(self.partners, who), amount, -amount)

    def change_points(self, function: str, partner: str, argument: int, booked: int) -> None:
        short = booked < 0 and self.model.balance(partner) + booked < 0
        done = self.perform_once(
            self.context.admin,
            function,
            {"POINTS_INSUFFICIENT"} if short else set(),
            partner_id=partner,
            points=argument,
            reason="koreksi",
            idempotency_key=self.key(),
        )
        if done:
            self.model.ledger.append((partner, booked))

    # --- repeats ----------------------------------------------------------------------------------

    @precondition(lambda self: self.repeatable)
    @rule(pick=picks, changed=picks)
    def repeat_another(self, pick: int, changed: int) -> None:
        self.repeat(pick, changed)

    @precondition(lambda self: self.repeatable)
    @rule(pick=picks, changed=picks)
    def repeat(self, pick: int, changed: int) -> None:
        """A repeated call returns its first result and changes nothing; its key with another body fails."""
        functions = {call.function for call in self.repeatable}
        function = self.one_of(sorted(functions - self.repeated or functions), pick)
        self.repeated.add(function)
        earlier = self.one_of([call for call in self.repeatable if call.function == function], pick // 8)
        arguments = dict(earlier.arguments)
        against: set[str] = set()
        amount = next((name for name in AMOUNTS if name in arguments), None)
        if changed % 4 == 0 and amount and "idempotency_key" in arguments:
            arguments[amount] += 1
            against = {"IDEMPOTENCY_CONFLICT"}
        result = self.perform(earlier.who, earlier.function, against, **arguments)
        if result is not None:
            assert identity(result) == identity(earlier.result), "a repeat returns the first result"
            type(self).steps[f"{earlier.function} repeated"] += 1


def identity(result: Any) -> Any:
    """What names the row that a call made, whatever became of it since."""
    if isinstance(result, dict):
        return next(result[name] for name in ("payment_id", "id") if name in result)
    return result
