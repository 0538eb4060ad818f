"""The templates at Meta: categories, and `hub whatsapp templates --check`."""

from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from adapters.whatsapp.template_check import compare
from adapters.whatsapp.template_export import CODE_MINUTES, QUERY, Template, submissions
from adapters.whatsapp.templates import MAX_CODE_LENGTH
from hub.cli import app
from tests.support.client import RunningGateway
from tests.support.context import Connection, value
from tests.whatsapp import fake_meta
from tests.whatsapp.fake_meta import FakeMeta, Json, stored, submitted_templates
from tests.whatsapp.test_delivery import deliver, message

Check = Callable[[], tuple[int, str]]


@pytest.fixture
def check(meta: FakeMeta, gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Run the command against the fake server; returns its exit code and output."""
    for name, setting in {
        "TOKEN": fake_meta.TOKEN,
        "PHONE_NUMBER_ID": fake_meta.PHONE_NUMBER_ID,
        "BUSINESS_ACCOUNT_ID": fake_meta.BUSINESS_ACCOUNT_ID,
        "APP_SECRET": fake_meta.APP_SECRET,
        "VERIFY_TOKEN": fake_meta.VERIFY_TOKEN,
        "GRAPH_URL": meta.url,
    }.items():
        monkeypatch.setenv(f"HUB_WHATSAPP_{name}", setting)

    def run() -> tuple[int, str]:
        result = CliRunner().invoke(
            app, ["whatsapp", "templates", "--check", "--database", gateway.database_url]
        )
        return result.exit_code, result.output

    return run


def test_page_lists_what_the_code_submits(db: Connection) -> None:
    assert submitted_templates() == submissions(Template(*row) for row in db.execute(QUERY).fetchall())


def test_only_the_sign_in_code_is_an_authentication_template() -> None:
    categories = {template["name"]: template["category"] for template in submitted_templates()}
    codes = {name for name, category in categories.items() if category != "UTILITY"}
    assert codes == {"sign_in_link"}
    assert categories["sign_in_link"] == "AUTHENTICATION"


def test_footer_states_the_life_of_a_sign_in_code(db: Connection) -> None:
    assert value(db, "select app.config_int('auth.link_minutes')") == CODE_MINUTES


def test_sign_in_code_fits_an_authentication_template(db: Connection, meta: FakeMeta, settings: Any) -> None:
    codes = [value(db, "select token from auth.new_code()") for _ in range(50)]
    assert len(set(codes)) == 50
    assert {len(code) for code in codes} == {MAX_CODE_LENGTH}
    sent = message(template="sign_in_link", variables={"token": codes[0], "minutes": 15})
    assert deliver(settings, sent)[0].startswith("wamid.")
    long = message(template="sign_in_link", variables={"token": codes[0] + "x", "minutes": 15})
    assert deliver(settings, long) == ["132005 never"]
    body, button = meta.accepted[0]["template"]["components"]
    assert body["parameters"] == button["parameters"] == [{"type": "text", "text": codes[0]}]


def test_check_succeeds_when_meta_has_every_template(check: Check, meta: FakeMeta) -> None:
    meta.page_size = 7
    meta.listed.append(stored(submitted_templates()[0]) | {"name": "promo", "status": "REJECTED"})
    code, output = check()
    assert code == 0, output
    assert "Meta has all" in output


def change(listed: list[Json], name: str, **fields: Any) -> None:
    for template in listed:
        if template["name"] == name:
            template.update(fields)


def test_check_names_every_problem_and_exits_1(check: Check, meta: FakeMeta) -> None:
    meta.listed = [each for each in meta.listed if each["name"] != "invoice_issued"]
    change(meta.listed, "order_routed", status="PAUSED")
    change(meta.listed, "order_status", status="REJECTED", rejected_reason="INVALID_FORMAT")
    change(meta.listed, "points_vested", category="MARKETING")
    change(meta.listed, "payment_received", language="en_US")
    change(meta.listed, "refund_due", components=[{"type": "BODY", "text": "Halo {{1}} dan {{2}} ya."}])
    code, output = check()
    text = " ".join(output.split())
    assert code == 1
    for problem in (
        "invoice_issued is missing",
        "order_routed is PAUSED",
        "order_status is REJECTED: INVALID_FORMAT",
        "points_vested has category MARKETING, needed is UTILITY",
        "payment_received has language en_US, needed is id",
        "refund_due has another text: 'Halo {{1}}",
        "6 problems",
    ):
        assert problem in text


@pytest.mark.parametrize(
    ("part", "fields", "problem"),
    [
        ("BODY", {"add_security_recommendation": False}, "security recommendation: False, needed is True"),
        ("FOOTER", {"code_expiration_minutes": 10}, "expiry in minutes: 10, needed is 15"),
        ("BUTTONS", {"buttons": [{"type": "URL", "url": "x"}]}, "kind of button: [' x']"),
    ],
)
def test_check_compares_the_parts_of_an_authentication_template(
    part: str, fields: Json, problem: str
) -> None:
    [needed] = [each for each in submitted_templates() if each["name"] == "sign_in_link"]
    found = stored(needed)
    assert compare([needed], [found], "id") == []
    [changed] = [component for component in found["components"] if component["type"] == part]
    changed.update(fields)
    [reason] = compare([needed], [found], "id")
    assert problem in reason


def test_check_compares_buttons() -> None:
    [needed] = [each for each in submitted_templates() if each["name"] == "order_routed"]
    found = stored(needed) | {"components": needed["components"][:1]}
    [reason] = compare([needed], [found], "id")
    assert reason.startswith("order_routed has another set of buttons: []")


@pytest.mark.parametrize("trouble", ["token", "account", "outage"])
def test_check_exits_2_when_meta_gives_no_list(
    check: Check, meta: FakeMeta, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    if trouble == "token":
        meta.token = "another"
    elif trouble == "account":
        monkeypatch.setenv("HUB_WHATSAPP_BUSINESS_ACCOUNT_ID", "")
    else:
        meta.outage = 502
    code, output = check()
    assert code == 2, output
    assert {"token": "190", "account": "HUB_WHATSAPP_BUSINESS_ACCOUNT_ID", "outage": "HTTP 502"}[
        trouble
    ] in output


def test_command_is_part_of_the_help() -> None:
    assert isinstance(app, typer.Typer)
    assert "templates" in CliRunner().invoke(app, ["whatsapp", "--help"]).output
