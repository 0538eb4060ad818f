"""Tokens that the hub did not sign, or that no longer hold, are refused by the gateway."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest

from adapters.common.tokens import mint
from hub.cluster import Cluster
from tests.support import test_cluster
from tests.support.client import RunningGateway
from tests.support.gateway import running_gateway

FORMER = "former-for-tests-0123456789-0123456789-0123456789"
ADMIN = str(uuid.uuid4())
HOUR = 3600


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def signed(
    claims: Any, secret: str = test_cluster.JWT_SECRET, *, header: dict[str, Any] | None = None,
    digest: Callable[[], Any] = hashlib.sha256,
) -> str:  # fmt: skip
    text = f"{part(header or {'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    return f"{text}.{part(hmac.new(secret.encode(), text.encode(), digest).digest())}"


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"role": "admin", "sub": ADMIN, "iat": now, "exp": now + HOUR} | more


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in claims().items() if key != name}


def tampered() -> str:
    """A token whose claims were replaced after it was signed."""
    header, _, signature = signed(claims(role="partner")).split(".")
    return f"{header}.{part(claims(role='superadmin'))}.{signature}"


ABUSES: dict[str, Callable[[], str]] = {
    "alg none": lambda: f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}.",
    "alg None": lambda: f"{part({'alg': 'None'})}.{part(claims())}.",
    "alg none with a signature": lambda: signed(claims(), header={"alg": "none"}),
    "no alg": lambda: signed(claims(), header={"typ": "JWT"}),
    "HS512": lambda: signed(claims(), header={"alg": "HS512"}, digest=hashlib.sha512),
    "RS256 signed with the secret": lambda: signed(claims(), header={"alg": "RS256"}),
    "HS256 that is HS512": lambda: signed(claims(), digest=hashlib.sha512),
    "no signature": lambda: signed(claims()).rsplit(".", 1)[0] + ".",
    "two parts": lambda: signed(claims()).rsplit(".", 1)[0],
    "four parts": lambda: signed(claims()) + ".x",
    "another key": lambda: signed(claims(), "x" * 48),
    "empty key": lambda: signed(claims(), ""),
    "key in the header": lambda: signed(
        claims(), "x" * 48, header={"alg": "HS256", "jwk": {"kty": "oct", "k": part(b"x" * 48)}}
    ),
    "key by address": lambda: signed(
        claims(), "x" * 48, header={"alg": "HS256", "jku": "http://127.0.0.1:9/keys", "kid": "../../dev/null"}
    ),
    "former key": lambda: signed(claims(), FORMER),
    "other claims": tampered,
    "expired": lambda: signed(claims(exp=int(time.time()) - HOUR)),
    "expired a minute ago": lambda: mint(test_cluster.JWT_SECRET, "admin", ADMIN, minutes=-1),
    "expires before 1970": lambda: signed(claims(exp=-1)),
    "exp as text": lambda: signed(claims(exp="9999999999")),
    "future iat": lambda: signed(claims(iat=int(time.time()) + HOUR)),
    "not valid yet": lambda: signed(claims(nbf=int(time.time()) + HOUR)),
    "missing sub": lambda: signed(without("sub")),
    "sub null": lambda: signed(claims(sub=None)),
    "sub no UUID": lambda: signed(claims(sub="1 or 1=1")),
    "sub a list": lambda: signed(claims(sub=[ADMIN])),
    "sub unknown": lambda: signed(claims(sub=str(uuid.uuid4()))),
    "sub of a partner": lambda: signed(claims(sub="partner")),
    "another role": lambda: signed(claims(role="superadmin")),
    "role of the owner": lambda: signed(claims(role="hub_owner")),
    "role of a superuser": lambda: signed(claims(role="postgres")),
    "role of the login": lambda: signed(claims(role="authenticator")),
    "role of the scheduler": lambda: signed(claims(role="hub_scheduler")),
    "role of the cache": lambda: signed(claims(role="cache")),
    "role none": lambda: signed(claims(role="none")),
    "role injected": lambda: signed(claims(role="admin; drop table app.orders")),
    "role a list": lambda: signed(claims(role=["admin"])),
    "role null": lambda: signed(claims(role=None)),
    "missing role": lambda: signed(without("role")),
    "closed session": lambda: signed(claims(sid=str(uuid.uuid4()))),
    "shadow session without one": lambda: signed(claims(role="partner", act={"sub": ADMIN})),
    "claims a list": lambda: signed([claims()]),
    "claims no JSON": lambda: signed(b"{'role': admin}"),
    "claims empty": lambda: signed({}),
    "huge": lambda: signed(claims(x="a" * 5_000)) + "a" * 5_000,
    "huge and signed": lambda: signed(claims(sub="a" * 20_000)),
    "deep": lambda: signed(b'{"role":"admin","sub":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
    "no token": lambda: "x",
    "dots": lambda: "..",
    "no base64": lambda: "*.*.*",
}


@pytest.fixture(scope="module")
def accounts(gateway: RunningGateway) -> None:
    """The account that the tokens name."""
    add_admin(gateway)


def add_admin(gateway: RunningGateway) -> None:
    with psycopg.connect(gateway.database_url, autocommit=True) as conn:
        conn.execute(
            "insert into app.agents (id, email, password_hash, full_name, role)"
            " values (%s, 'abuse@hub.test', 'x', 'Abuse', 'ADMIN')",
            [ADMIN],
        )


def ask(gateway: RunningGateway, token: str) -> httpx.Response:
    """What admins may read."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{gateway.url}/work_queue?limit=1", headers=headers, timeout=20)


@pytest.mark.parametrize("abuse", ABUSES)
def test_token_is_refused(gateway: RunningGateway, accounts: None, abuse: str) -> None:
    answer = ask(gateway, ABUSES[abuse]())
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.status_code in (400, 401, 403, 413, 431), answer.text
    assert ask(gateway, signed(claims())).status_code == 200, "the honest token is accepted"


@pytest.fixture(scope="module")
def rotating(cluster: Cluster, template: str) -> Iterator[RunningGateway]:
    """A gateway during a rotation: it accepts the present key and the former one."""
    with (
        test_cluster.scratch_database(cluster, "rotation", template) as name,
        running_gateway(cluster, name, FORMER) as running,
    ):
        yield running


def test_two_keys_are_accepted_during_a_rotation_and_no_other(rotating: RunningGateway) -> None:
    add_admin(rotating)
    for secret, status in ((test_cluster.JWT_SECRET, 200), (FORMER, 200), ("x" * 48, 401)):
        assert ask(rotating, signed(claims(), secret)).status_code == status
    expired = claims(exp=int(time.time()) - HOUR)
    assert ask(rotating, signed(expired, FORMER)).status_code == 401
    assert ask(rotating, f"{part({'alg': 'none'})}.{part(claims())}.").status_code == 401
    for algorithm in ("HS384", "HS512"):
        assert ask(rotating, signed(claims(), FORMER, header={"alg": algorithm})).status_code == 401
