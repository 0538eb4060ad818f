"""The story: one order of Salon Melati in Bogor, from price to points."""

from hub.demo import erp, ordering, paying, serving, shipping
from hub.demo.api import Row
from hub.demo.context import Stage


def play(stage: Stage) -> Row:
    """Tell it; returns the order as it stands at the end. Raises UserError where it goes otherwise."""
    if stage.books:
        erp.restock(stage, stage.books)
    else:
        ordering.restock(stage)
    partner = ordering.sign_in(stage)
    ordering.clear_away(stage, partner)
    ordering.look_around(stage, partner)
    quote = ordering.quote(stage, partner)
    ordering.refused(stage, partner)
    order = ordering.submit(stage, partner, quote)
    admin = serving.headquarters(stage)
    serving.be_served(stage, admin, order)
    invoice = paying.approve(stage, admin, order)
    if stage.books:
        erp.takes_over(stage, stage.books, admin, order)
    paying.pay_in_part(stage, admin, partner, invoice)
    if stage.books:
        erp.pay_the_rest(stage, stage.books, partner, order, invoice)
    else:
        paying.pay_the_rest(stage, admin, partner, order, invoice)
    shipping.ship(stage, admin, order)
    if not stage.books:
        shipping.erp_takes_over(stage, order)
    shipping.audit_trail(stage, admin, order)
    return shipping.what_the_partner_sees(stage, partner, order)
