"""Partners change their own profile, and see who serves them."""

from typing import Any

import pytest

from tests.support.calls import refused
from tests.support.client import caller
from tests.support.context import Caller, Connection, Context, call, shadow, value
from tests.support.factories import make_agent, make_partner, make_subdist

FIELDS = ("address", "phone", "salon_type", "chair_count", "specialization")
PROFILE = {
    "address": "Jl. Braga 12", "phone": "+6281399990000", "salon_type": "BRIDAL", "chair_count": 6,
    "specialization": "Rias pengantin",
}  # fmt: skip


def profile(db: Connection, who: Caller) -> dict[str, Any]:
    me = call(db, who, "me")
    return {name: me[name] for name in FIELDS}


def test_partner_changes_address_phone_and_profile(db: Connection, context: Context) -> None:
    who = context.partners[0]
    me = call(db, who, "update_profile", **PROFILE | {"phone": "0813-9999-0000", "address": " Jl. Braga 12 "})
    assert {name: me[name] for name in FIELDS} == PROFILE == profile(db, who)
    assert value(db, "select count(*) from app.partners where address is not null") == 1


@pytest.mark.parametrize("name", FIELDS)
def test_field_that_is_not_given_stays_and_an_empty_text_empties_it(
    db: Connection, context: Context, name: str
) -> None:
    who = context.partners[0]
    call(db, who, "update_profile", **PROFILE)
    call(db, who, "update_profile", **dict.fromkeys(FIELDS))
    assert profile(db, who) == PROFILE
    call(db, who, "update_profile", **{name: 0 if name == "chair_count" else ""})
    assert profile(db, who) == PROFILE | {name: 0 if name == "chair_count" else None}


def test_profile_without_a_change_is_not_written(db: Connection, context: Context) -> None:
    who = context.partners[0]
    before = value(db, "select xmin::text from app.partners where id = %s", who.sub)
    call(db, who, "update_profile")
    assert value(db, "select xmin::text from app.partners where id = %s", who.sub) == before


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"phone": "08l2 3456 789O"}, "INVALID_PHONE"),
        ({"phone": "x" * 61}, "INVALID_ARGUMENT"),
        ({"address": "x" * 501}, "INVALID_ARGUMENT"),
        ({"specialization": "x" * 256}, "INVALID_ARGUMENT"),
        ({"salon_type": "SPA"}, "INVALID_ARGUMENT"),
        ({"chair_count": -1}, "INVALID_ARGUMENT"),
        ({"chair_count": 10_001}, "INVALID_ARGUMENT"),
        ({"phone": "+628130000001"}, "PHONE_IN_USE"),
    ],
)
def test_invalid_profile_is_refused_as_a_whole(
    db: Connection, context: Context, given: dict[str, Any], code: str
) -> None:
    who = context.partners[0]
    call(db, who, "update_profile", **PROFILE)
    with refused(db, code):
        call(db, who, "update_profile", **{"address": "Lain", "chair_count": 1} | given)
    assert profile(db, who) == PROFILE


def test_agent_in_shadow_mode_does_not_change_the_profile(db: Connection, context: Context) -> None:
    acting = shadow(db, context.agents[0], context.partners[0])
    with refused(db, "NOT_ALLOWED"):
        call(db, acting, "update_profile", phone="0813-9999-0000")


def contacts(db: Connection, who: Caller) -> set[tuple[str, str, str | None]]:
    with caller(db, who.role, who.sub, **who.extra):
        return set(db.execute("select role, name, phone from api.my_contacts").fetchall())


def test_partner_sees_the_nearest_sub_distributors_and_agents(db: Connection, context: Context) -> None:
    make_agent(db, context.regions["papua"], full_name="Jauh")
    make_subdist(db, context.regions["papua"], business_name="CV Jauh")
    assert contacts(db, context.partners[0]) == {
        ("subdist", "CV Sinar", "+628120000000"), ("subdist", "CV Makmur", "+628120000001"),
        ("agent", "Citra", "+628110000002"), ("agent", "Dedi", "+628110000003"),
    }  # fmt: skip
    make_agent(db, context.regions["jabar"], full_name="Dekat")
    make_agent(db, context.regions["bandung"], full_name="Pergi", is_active=False)
    make_agent(db, context.regions["bandung"], full_name="Kantor", role="ADMIN")
    make_subdist(db, context.regions["bandung"], business_name="CV Tutup", status="SUSPENDED")
    make_subdist(db, context.regions["bandung"], business_name="CV Dekat", whatsapp_number="+628190000000")
    assert contacts(db, context.partners[0]) == {
        ("subdist", "CV Dekat", "+628190000000"), ("agent", "Dekat", None),
    }  # fmt: skip
    acting = shadow(db, context.agents[0], context.partners[0])
    assert contacts(db, acting) == contacts(db, context.partners[0])


def test_partner_without_a_region_has_no_contacts(db: Connection, context: Context) -> None:
    assert contacts(db, make_partner(db, None)) == set()
