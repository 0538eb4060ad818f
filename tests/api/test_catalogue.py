"""The catalogue and the configs as documents with an ETag, through the gateway."""

from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import ApiClient
from tests.rls.visibility import callers
from tests.support.context import Caller, Connection, value
from tests.support.factories import make_product

CALLS = ["/rpc/catalogue", "/rpc/app_configs"]
READERS = ["partner", "agent", "subdist", "admin", "superadmin"]


def who(api: ApiClient, role: str) -> Caller:
    return callers(api.dataset, role)[0][0]


def fetch(api: ApiClient, caller: Caller, path: str = "/rpc/catalogue") -> tuple[str, dict[str, Any]]:
    """ETag and body of an answer with 200."""
    answer = api.get(caller, path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    return answer.headers["ETag"], answer.json()


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("role", READERS)
def test_an_answer_that_the_caller_has_is_304_without_a_body(api: ApiClient, role: str, path: str) -> None:
    etag, _ = fetch(api, who(api, role), path)
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        answer = api.get(who(api, role), path, **{"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == etag
        assert answer.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("known", ["", '""', "x", '"x"', 'W/"', ",", "*", '"' * 2000])
def test_an_unknown_etag_is_answered_in_full(api: ApiClient, path: str, known: str) -> None:
    answer = api.get(who(api, "partner"), path, **{"If-None-Match": known})
    assert (answer.status_code, bool(answer.json())) == (200, True)


@pytest.mark.parametrize("path", CALLS)
def test_a_post_is_answered_in_full_whatever_its_etag(api: ApiClient, path: str) -> None:
    etag, body = fetch(api, who(api, "partner"), path)
    answer = api.rpc(who(api, "partner"), path.removeprefix("/rpc/"), **{"If-None-Match": etag})
    assert (answer.status_code, answer.json()) == (200, body)


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("role", ["erp", "messenger"])
def test_other_roles_are_refused(api: ApiClient, role: str, path: str) -> None:
    assert api.get(who(api, role), path).status_code == 403
    assert api.get(None, path).status_code == 401


def test_partners_see_the_prices_of_their_tier_and_others_base_prices(
    api: ApiClient, conn: Connection
) -> None:
    west, east = (side.partner for side in api.dataset.sides)
    for caller in (west, east, who(api, "agent"), who(api, "subdist")):
        _, body = fetch(api, caller)
        listed = api.get(caller, "/products?is_active=is.true&order=sku").json()
        assert [p["sku"] for p in body["products"]] == [p["sku"] for p in listed]
        for product, shown in zip(body["products"], listed, strict=True):
            assert product == {name: shown[name] for name in product}
        tiers = conn.execute("select tier::text from app.partners where id = %s", [caller.sub]).fetchall()
        assert body["price_list"] == (tiers[0][0] if tiers else "BASE")


def test_a_tag_of_another_price_list_is_not_confirmed(api: ApiClient) -> None:
    etag, _ = fetch(api, who(api, "partner"))
    answer = api.get(who(api, "admin"), "/rpc/catalogue", **{"If-None-Match": etag})
    assert answer.status_code == 200


def test_a_withdrawn_product_is_not_in_the_catalogue(api: ApiClient) -> None:
    admin, partner = who(api, "admin"), who(api, "partner")
    product = fetch(api, partner)[1]["products"][0]
    path = f"/products?id=eq.{product['id']}"
    changed = api.http.patch(path, json={"is_active": False}, headers=api.headers(admin))
    assert changed.status_code == 204, changed.text
    assert product["id"] not in [p["id"] for p in fetch(api, partner)[1]["products"]]
    api.http.patch(path, json={"is_active": True}, headers=api.headers(admin))
    assert product in fetch(api, partner)[1]["products"]


def test_a_change_is_seen_by_the_next_request(api: ApiClient) -> None:
    admin = who(api, "admin")
    for order in range(5):
        etag, body = fetch(api, admin)
        brand = body["brands"][0]
        api.http.patch(
            f"/brands?id=eq.{brand['id']}", json={"display_order": -order}, headers=api.headers(admin)
        )
        answer = api.get(admin, "/rpc/catalogue", **{"If-None-Match": etag})
        assert answer.status_code == 200
        assert answer.json()["version"] > body["version"]
        assert answer.json()["brands"][0]["display_order"] == -order


def test_a_config_is_seen_by_the_next_request_and_secrets_are_not_shown(api: ApiClient) -> None:
    admin = who(api, "admin")
    etag, configs = fetch(api, admin, "/rpc/app_configs")
    lines = configs["order.max_lines"] - 1
    api.rpc(admin, "set_config", {"config_key": "order.max_lines", "config_value": lines})
    answer = api.get(admin, "/rpc/app_configs", **{"If-None-Match": etag})
    assert (answer.status_code, answer.json()) == (200, configs | {"order.max_lines": lines})
    assert [key for key in configs if key.startswith(("auth.", "outbox.", "erp.", "retention."))] == []


def test_a_scheduled_price_is_charged_shown_and_tagged_at_its_moment(
    api: ApiClient, conn: Connection
) -> None:
    """Nothing is written at the moment: the quote, the list and the document change together."""
    partner = who(api, "partner")
    make_product(conn, "ZZZ")
    etag, body = fetch(api, partner)
    product = body["products"][-1]
    assert product["sku"] == "ZZZ"
    row = conn.execute(
        "insert into app.tier_prices (product_id, tier, price, effective_from, effective_until)"
        " select %s, tier, 4321, now() + interval '0.7 seconds', now() + interval '1.4 seconds'"
        " from app.partners where id = %s returning effective_from, effective_until",
        [product["id"], partner.sub],
    ).fetchone()
    assert row
    start, end = row
    phases = []
    while "after" not in phases:
        began = value(conn, "select clock_timestamp()")
        answer = api.get(partner, "/rpc/catalogue", **{"If-None-Match": etag})
        if answer.status_code == 200:
            etag, body = answer.headers["ETag"], answer.json()
        cached = next(p["price"] for p in body["products"] if p["id"] == product["id"])
        shown = api.get(partner, f"/products?id=eq.{product['id']}").json()[0]["price"]
        order = {"items": [{"sku": product["sku"], "quantity": 1}]}
        charged = api.rpc(partner, "quote_order", order).json()["lines"][0]["list_price"]
        ended = value(conn, "select clock_timestamp()")
        if ended < start:
            phases.append("before")
            assert cached == shown == charged == product["price"]
        elif start <= began and ended < end:
            phases.append("in force")
            assert cached == shown == charged == 4321
        elif end <= began:
            phases.append("after")
            assert cached == shown == charged == product["price"]
        assert began < end + timedelta(seconds=5)
    assert list(dict.fromkeys(phases)) == ["before", "in force", "after"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html", "application/json;q=0.5, */*"])
def test_the_document_is_json_whatever_the_request_accepts(api: ApiClient, accept: str) -> None:
    answer = api.get(who(api, "partner"), "/rpc/catalogue", Accept=accept)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.json()["price_list"] == "SILVER"


def test_the_library_of_frontends_reads_the_document(api: ApiClient) -> None:
    body = api.client(who(api, "admin")).rpc("catalogue", {}).execute().data
    assert body["price_list"] == "BASE"
