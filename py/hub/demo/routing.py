"""The sub-distributor's steps: the WhatsApp message, signing in by a code, the answer."""

import re

from hub.demo.api import Caller, Row
from hub.demo.context import DemoContext
from hub.demo.narrator import expect
from hub.demo.ordering import PARTNER
from hub.seed import PASSWORD

ADMIN = "dewi@alfabeauty.example"


def sign_in_admin(demo: DemoContext) -> Caller:
    """Sign an admin in."""
    demo.narrator.step("Headquarters signs in")
    answer = demo.api.caller().rpc("login", email=ADMIN, password=PASSWORD)
    demo.api.narrate(f"{ADMIN}: role {answer['role']}")
    expect(answer["role"] == "admin", f"{ADMIN} is an admin")
    demo.ids["admin"] = answer["subject_id"]
    return demo.api.caller(answer["access_token"])


def accept_order(demo: DemoContext, admin: Caller, order: Row) -> None:
    """The order is routed to a sub-distributor, who accepts it."""
    subdist = _show_routing(demo, admin, order)
    _accept(demo, _sign_in_by_link(demo, subdist), order)


def _show_routing(demo: DemoContext, admin: Caller, order: Row) -> Row:
    demo.narrator.step("The order is routed to the sub-distributor of the nearest region, who is notified")
    expect(order["routed_to_subdist_id"], "the order was routed")
    subdist = admin.row(
        "sub_distributors", "id,business_name,whatsapp_number,regions(name)", id=order["routed_to_subdist_id"]
    )
    region = subdist["regions"]["name"]
    demo.api.narrate(
        f"{subdist['business_name']}, {region}: Bogor has no sub-distributor, the region above it has one"
    )
    expect(region == "Jawa Barat", "Bogor's orders are served from Jawa Barat")
    message = demo.deliver("order_routed", order_id=order["id"], recipient=subdist["whatsapp_number"])
    expect(
        order["order_number"] in message["body"] and PARTNER in message["body"], "the message names the order"
    )
    expect(
        [b["title"] for b in message["buttons"]] == ["Terima", "Tolak"], "the message has buttons to answer"
    )
    return subdist


def _sign_in_by_link(demo: DemoContext, subdist: Row) -> Caller:
    demo.narrator.step("The sub-distributor signs in with a code over WhatsApp, without a password")
    number = subdist["whatsapp_number"]
    anonymous = demo.api.caller()
    answer = anonymous.rpc("request_link", whatsapp_number=number)
    demo.api.narrate(f"a code was sent, valid for {answer['minutes']} minutes")
    message = demo.deliver("sign_in_link", recipient=number)
    found = re.search(r"kode ini: (\S+)\. ", message["body"])
    expect(found, "the message carries a code")
    answer = anonymous.rpc("redeem_link", token=found[1] if found else "")
    demo.api.narrate(f"role {answer['role']}; the code is used up")
    expect(answer["subject_id"] == subdist["id"], "the code signs this sub-distributor in")
    demo.ids["subdist"] = answer["subject_id"]
    return demo.api.caller(answer["access_token"])


def _accept(demo: DemoContext, subdist: Caller, order: Row) -> None:
    demo.narrator.step("The sub-distributor reads the delivery address, and accepts")
    seen = subdist.row(
        "orders", "order_number,status,delivery_contacts(business_name,address)", id=order["id"]
    )
    contact = seen["delivery_contacts"]
    demo.api.narrate(f"{seen['order_number']} for {contact['business_name']}, {contact['address']}")
    answer = subdist.rpc("respond_order", order_id=order["id"], decision="ACCEPT", note="Dikirim besok pagi")
    demo.api.narrate(f"{answer['order_number']}: {answer['status']}; the service-level clock restarts")
    expect(answer["status"] == "PROCESSING", "an accepted order is PROCESSING")
