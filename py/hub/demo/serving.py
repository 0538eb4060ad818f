"""The sub-distributor: his WhatsApp message, signing in by a link, his answer."""

import re

from hub.demo.api import Caller, Row
from hub.demo.context import Stage
from hub.demo.narrator import expect
from hub.demo.ordering import PARTNER
from hub.seed import PASSWORD

ADMIN = "dewi@alfabeauty.example"


def headquarters(stage: Stage) -> Caller:
    """An admin signs in."""
    stage.narrator.step("Headquarters signs in")
    answer = stage.api.caller().rpc("login", email=ADMIN, password=PASSWORD)
    stage.api.tell(f"{ADMIN}: role {answer['role']}")
    expect(answer["role"] == "admin", f"{ADMIN} is an admin")
    stage.ids["admin"] = answer["subject_id"]
    return stage.api.caller(answer["access_token"])


def be_served(stage: Stage, admin: Caller, order: Row) -> None:
    """The order finds who serves it, and he accepts."""
    subdist = _told(stage, admin, order)
    _accept(stage, _sign_in_by_link(stage, subdist), order)


def _told(stage: Stage, admin: Caller, order: Row) -> Row:
    stage.narrator.step("The order is routed to the sub-distributor of the nearest region, who is told")
    expect(order["routed_to_subdist_id"], "the order was routed")
    subdist = admin.row(
        "sub_distributors", "id,business_name,whatsapp_number,regions(name)", id=order["routed_to_subdist_id"]
    )
    region = subdist["regions"]["name"]
    stage.api.tell(
        f"{subdist['business_name']}, {region}: Bogor has none of its own, the region above it has one"
    )
    expect(region == "Jawa Barat", "Bogor's orders are served from Jawa Barat")
    message = stage.deliver("order_routed", order_id=order["id"], recipient=subdist["whatsapp_number"])
    expect(order["order_number"] in message["body"] and PARTNER in message["body"], "it names the order")
    expect([b["title"] for b in message["buttons"]] == ["Terima", "Tolak"], "it can be answered by a tap")
    return subdist


def _sign_in_by_link(stage: Stage, subdist: Row) -> Caller:
    stage.narrator.step("He signs in by a code over WhatsApp, without a password")
    number = subdist["whatsapp_number"]
    anybody = stage.api.caller()
    answer = anybody.rpc("request_link", whatsapp_number=number)
    stage.api.tell(f"a code is on its way, good for {answer['minutes']} minutes")
    message = stage.deliver("sign_in_link", recipient=number)
    found = re.search(r"kode ini: (\S+)\. ", message["body"])
    expect(found, "the message carries a code")
    answer = anybody.rpc("redeem_link", token=found[1] if found else "")
    stage.api.tell(f"role {answer['role']}; the code is spent")
    expect(answer["subject_id"] == subdist["id"], "the code signs this sub-distributor in")
    stage.ids["subdist"] = answer["subject_id"]
    return stage.api.caller(answer["access_token"])


def _accept(stage: Stage, subdist: Caller, order: Row) -> None:
    stage.narrator.step("He sees what he needs to deliver, and accepts")
    seen = subdist.row(
        "orders", "order_number,status,delivery_contacts(business_name,address)", id=order["id"]
    )
    contact = seen["delivery_contacts"]
    stage.api.tell(f"{seen['order_number']} for {contact['business_name']}, {contact['address']}")
    answer = subdist.rpc("respond_order", order_id=order["id"], decision="ACCEPT", note="Dikirim besok pagi")
    stage.api.tell(f"{answer['order_number']}: {answer['status']}; the service-level clock starts anew")
    expect(answer["status"] == "PROCESSING", "accepting starts PROCESSING")
