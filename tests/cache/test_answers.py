"""What callers get: bodies of their price list, 304, and the refusals of the gateway."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest

from adapters.cache.app import _takes_gzip
from adapters.cache.bearer import Verifier
from adapters.cache.errors import RefusedError
from adapters.common.tokens import mint
from tests.cache.conftest import TIER_PRICES, Shop
from tests.cache.environment import RunningCache, running_cache
from tests.support import test_cluster
from tests.support.context import Caller, as_owner

Result = TypeVar("Result")


def with_cache(shop: Shop, use: Callable[[RunningCache], Awaitable[Result]], **more: Any) -> Result:
    """The result of `use` with a cache of this database, without Redis."""

    async def run() -> Result:
        async with running_cache(shop.url, **more) as cache:
            return await use(cache)

    return asyncio.run(run())


def get(shop: Shop, path: str, caller: Caller | None, **headers: str) -> httpx.Response:
    return with_cache(shop, lambda cache: cache.get(path, caller, **headers))


def prices(answer: httpx.Response) -> dict[str, float]:
    assert answer.status_code == 200, answer.text
    return {product["sku"]: product["price"] for product in answer.json()["products"]}


@pytest.mark.parametrize(("index", "tier"), [(0, "SILVER"), (1, "GOLD"), (2, "PLATINUM")])
def test_partner_sees_the_prices_of_their_tier_only(shop: Shop, index: int, tier: str) -> None:
    answer = get(shop, "/catalogue", shop.context.partners[index])
    assert answer.json()["price_list"] == tier
    assert prices(answer)["SKU-001"] == TIER_PRICES[tier]


def test_headquarters_and_agents_see_base_prices(shop: Shop) -> None:
    for caller in (shop.context.admin, shop.context.agents[0], shop.context.subdists[0]):
        answer = get(shop, "/catalogue", caller)
        assert answer.json()["price_list"] == "BASE"
        assert prices(answer)["SKU-001"] == 125_000


@pytest.mark.parametrize("path", ["/catalogue", "/configs"])
def test_known_answer_is_304_with_its_headers(shop: Shop, path: str) -> None:
    async def use(cache: RunningCache) -> None:
        partner = shop.context.partners[0]
        first = await cache.get(path, partner)
        etag = first.headers["ETag"]
        for known in (etag, etag.removeprefix("W/"), f'"other", {etag}'):
            again = await cache.get(path, partner, if_none_match=known)
            assert (again.status_code, again.content) == (304, b"")
            for name in ("ETag", "Cache-Control", "Vary", "Hub-Version"):
                assert again.headers[name] == first.headers[name]
        for unknown in ("", '"x"', "*", etag[:-2]):
            assert (await cache.get(path, partner, if_none_match=unknown)).status_code == 200
        assert first.headers["Cache-Control"] == "private, no-cache"
        assert "Authorization" in first.headers["Vary"]

    with_cache(shop, use)


def test_answer_is_compressed_for_clients_that_accept_it(shop: Shop) -> None:
    async def use(cache: RunningCache) -> None:
        partner = shop.context.partners[0]
        plain = await cache.get("/catalogue", partner, accept_encoding="identity")
        packed = await cache.get("/catalogue", partner, accept_encoding="br, gzip;q=0.5")
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.json() == plain.json()
        assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"])

    with_cache(shop, use)


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("gzip", True),
        ("GZIP;q=1", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0, gzip", True),
        ("gzip;q=", False),
        (";;,,", False),
    ],
)
def test_accept_encoding_decides_about_gzip(accepted: str, expected: bool) -> None:
    assert _takes_gzip(accepted) == expected


def test_configs_are_those_of_the_database(shop: Shop) -> None:
    async def use(cache: RunningCache) -> None:
        partner = shop.context.partners[0]
        before = (await cache.get("/configs", partner)).json()["order.max_lines"]
        shop.conn.execute(
            "update app.system_configs set config_value = to_jsonb(%s::int)"
            " where config_key = 'order.max_lines'",
            [before - 1],
        )
        assert (await cache.get("/configs", partner)).json()["order.max_lines"] == before - 1

    with_cache(shop, use)


def test_stock_states_its_age(shop: Shop) -> None:
    async def use(cache: RunningCache) -> None:
        answer = await cache.get("/stock", shop.context.partners[0])
        product = answer.json()["stock"][shop.context.products["SKU-000"]]
        assert product == {"display_stock": 1000, "stock_stale": False}
        assert answer.headers["Age"] in ("1", "0")
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.json()["read_at"]

    with_cache(shop, use)


def test_stock_is_as_old_as_the_config_allows_at_most(shop: Shop) -> None:
    async def use(cache: RunningCache) -> None:
        product = shop.context.products["SKU-002"]
        set_seconds = (
            "update app.system_configs set config_value = to_jsonb(%s::int)"
            " where config_key = 'cache.stock_seconds'"
        )
        shop.conn.execute(set_seconds, [1])
        await cache.get("/stock", shop.context.partners[0])
        with as_owner(shop.conn):
            shop.conn.execute("update app.inventory set erp_stock = 7 where product_id = %s", [product])
        await asyncio.sleep(0.8)
        answer = await cache.get("/stock", shop.context.partners[0])
        assert answer.json()["stock"][product]["display_stock"] == 7
        shop.conn.execute(set_seconds, [5])

    with_cache(shop, use)


def error(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"code", "message", "details", "hint"}
    return answer.status_code, body["code"]


@pytest.mark.parametrize("path", ["/catalogue", "/configs", "/stock"])
def test_callers_without_a_catalogue_are_refused(shop: Shop, path: str) -> None:
    async def use(cache: RunningCache) -> None:
        anonymous = await cache.get(path, None)
        assert error(anonymous) == (401, "UNAUTHENTICATED")
        assert anonymous.headers["Cache-Control"] == "no-store"
        assert error(await cache.get(path, Caller("erp", str(uuid.uuid4())))) == (403, "NOT_ALLOWED")
        stranger = Caller("partner", str(uuid.uuid4()))
        assert error(await cache.get(path, stranger)) == (401, "ACCOUNT_INACTIVE")
        assert error(await cache.get(path, Caller("partner", "x"))) == (401, "UNAUTHENTICATED")

    with_cache(shop, use)


def test_known_token_is_refused_once_it_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = Verifier(test_cluster.JWT_SECRET)
    authorization = "Bearer " + mint(test_cluster.JWT_SECRET, "partner", minutes=1)
    assert '"partner"' in verifier.claims(authorization)
    late = time.time() + 100
    monkeypatch.setattr("adapters.cache.bearer.time.time", lambda: late)
    with pytest.raises(RefusedError, match="JWT expired"):
        verifier.claims(authorization)


def test_closed_account_is_refused_by_the_next_request(shop: Shop) -> None:
    async def use(cache: RunningCache) -> None:
        partner = shop.context.partners[2]
        assert (await cache.get("/catalogue", partner)).status_code == 200
        shop.conn.execute("update app.partners set is_active = false where id = %s", [partner.sub])
        try:
            assert error(await cache.get("/catalogue", partner)) == (401, "ACCOUNT_INACTIVE")
        finally:
            shop.conn.execute("update app.partners set is_active = true where id = %s", [partner.sub])

    with_cache(shop, use)


def test_closed_session_is_refused_by_the_next_request(shop: Shop) -> None:
    async def use(cache: RunningCache) -> None:
        partner = shop.context.partners[0]
        session = shop.conn.execute(
            "insert into auth.sessions (subject_id, role, expires_at)"
            " values (%s, 'partner', now() + interval '1 day') returning id::text",
            [partner.sub],
        ).fetchone()
        assert session
        signed_in = Caller("partner", partner.sub, {"sid": session[0]})
        assert (await cache.get("/catalogue", signed_in)).status_code == 200
        shop.conn.execute("update auth.sessions set revoked_at = now() where id = %s", [session[0]])
        assert error(await cache.get("/catalogue", signed_in)) == (401, "SESSION_CLOSED")
        assert error(await cache.get("/stock", signed_in)) == (401, "SESSION_CLOSED")

    with_cache(shop, use)


def test_ended_shadow_session_is_refused_by_the_next_request(shop: Shop) -> None:
    async def use(cache: RunningCache) -> None:
        partner, agent = shop.context.partners[1], shop.context.agents[0]
        session = shop.conn.execute(
            "insert into app.agent_sessions (agent_id, impersonated_partner_id, expires_at)"
            " values (%s, %s, now() + interval '1 hour') returning id::text",
            [agent.sub, partner.sub],
        ).fetchone()
        assert session
        shadow = Caller("partner", partner.sub, {"act": {"sub": agent.sub}, "sid": session[0]})
        answer = await cache.get("/catalogue", shadow)
        assert answer.json()["price_list"] == "GOLD"
        shop.conn.execute("update app.agent_sessions set ended_at = now() where id = %s", [session[0]])
        assert error(await cache.get("/catalogue", shadow)) == (401, "SESSION_CLOSED")

    with_cache(shop, use)


@pytest.mark.parametrize("version", ["x", "-1", "1.5", "", "9" * 17, str(2**53), "\uff11"])
def test_wrong_version_is_refused(shop: Shop, version: str) -> None:
    async def use(cache: RunningCache) -> httpx.Response:
        headers = [(b"Hub-Version", version.encode())]
        return await cache.client.get("/catalogue", headers=headers)

    assert error(with_cache(shop, use)) in [(400, "INVALID_ARGUMENT")]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", (404, "PGRST125")),
        ("GET", "/catalogue/x", (404, "PGRST125")),
        ("POST", "/catalogue", (405, "PGRST117")),
        ("DELETE", "/stock", (405, "PGRST117")),
    ],
)
def test_wrong_request_is_refused_in_the_form_of_the_gateway(
    shop: Shop, method: str, path: str, expected: tuple[int, str]
) -> None:
    assert error(with_cache(shop, lambda cache: cache.client.request(method, path))) == expected


def test_browsers_of_other_origins_may_read_the_answers(shop: Shop) -> None:
    async def use(cache: RunningCache) -> None:
        asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}
        asked["Access-Control-Request-Headers"] = "authorization, hub-version, if-none-match"
        preflight = await cache.client.options("/catalogue", headers=asked)
        assert preflight.status_code == 204
        answer = await cache.get("/catalogue", shop.context.partners[0], origin="https://shop.example")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "hub-version" in answer.headers["Access-Control-Expose-Headers"].lower()

    with_cache(shop, use)
