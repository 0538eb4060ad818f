"""The demo: one order of Salon Melati in Bogor, from quote to points."""

from hub.demo import erp_steps, ordering, payments, routing, shipping
from hub.demo.api import Row
from hub.demo.context import DemoContext


def walk_through(demo: DemoContext) -> Row:
    """Play every step; returns the order in its final state. Raises UserError when a step fails."""
    admin = routing.sign_in_admin(demo)
    if demo.erp:
        erp_steps.restock(demo, demo.erp)
    elif demo.has_erp:
        ordering.restock(demo)
    else:
        ordering.enter_stock(demo, admin)
    partner = ordering.sign_in(demo)
    ordering.cancel_leftovers(demo, partner)
    ordering.show_account(demo, partner)
    quote = ordering.quote(demo, partner)
    ordering.show_refusals(demo, partner)
    order = ordering.submit(demo, partner, quote)
    routing.accept_order(demo, admin, order)
    invoice = payments.approve(demo, admin, order)
    if demo.erp:
        erp_steps.export_order(demo, demo.erp, admin, order)
    payments.pay_part(demo, admin, partner, invoice)
    if demo.erp:
        erp_steps.pay_rest(demo, demo.erp, partner, order, invoice)
    else:
        payments.pay_rest(demo, admin, partner, order, invoice)
    shipping.ship(demo, admin, order)
    if demo.has_erp and not demo.erp:
        shipping.acknowledge_export(demo, order)
    shipping.show_audit_trail(demo, admin, order)
    return shipping.show_order(demo, partner, order)
