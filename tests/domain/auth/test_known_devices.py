"""Strangers who guess a password make the account wait, but not the devices of its owner."""

from typing import Any

import pytest

from tests.domain.auth.conftest import Anonymously
from tests.support.calls import Response
from tests.support.context import Connection, Context, set_config
from tests.support.rls_dataset import PASSWORD

pytestmark = [pytest.mark.context(partners=2, products=1), pytest.mark.usefixtures("passwords")]

EMAIL, OTHER = "salon0@hub.test", "salon1@hub.test"


def sign_in(
    anonymously: Anonymously, device: str | None = None, email: str = EMAIL, password: str = PASSWORD,
    address: str = "203.0.113.7",
) -> Response:  # fmt: skip
    headers = {"X-Forwarded-For": address} | ({"X-Device-Token": device} if device else {})
    return anonymously("login", headers, email=email, password=password)


def lock_by_stranger(anonymously: Anonymously) -> None:
    for _ in range(6):
        sign_in(anonymously, password="salah-sekali", address="198.51.100.9")


def test_stranger_does_not_lock_out_a_device_that_signed_in_before(
    db: Connection, anonymously: Anonymously
) -> None:
    device = sign_in(anonymously).body["device_token"]
    lock_by_stranger(anonymously)
    assert sign_in(anonymously, password="salah-sekali").status == 429
    assert sign_in(anonymously, device).status == 200


def test_device_token_stays_the_same_in_a_session(anonymously: Anonymously) -> None:
    first = sign_in(anonymously).body
    second = anonymously("refresh_session", refresh_token=first["refresh_token"]).body
    assert second["device_token"] == first["device_token"]


def test_session_can_be_refreshed_while_its_account_is_locked(anonymously: Anonymously) -> None:
    token = sign_in(anonymously).body["refresh_token"]
    lock_by_stranger(anonymously)
    assert anonymously("refresh_session", refresh_token=token).status == 200


def test_known_device_is_locked_by_its_own_failures(anonymously: Anonymously) -> None:
    device = sign_in(anonymously).body["device_token"]
    for _ in range(5):
        assert sign_in(anonymously, device, password="salah-sekali").status == 401
    assert sign_in(anonymously, device).status == 429
    assert sign_in(anonymously).status == 200, "failures of a device lock no other"


def test_known_device_does_not_wait_with_its_address(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    set_config(db, context, "auth.max_failures_per_address", 1)
    device = sign_in(anonymously).body["device_token"]
    sign_in(anonymously, email="unknown@hub.test", password="salah-sekali")
    assert sign_in(anonymously).status == 429
    assert sign_in(anonymously, device).status == 200


def test_device_of_another_account_waits(anonymously: Anonymously) -> None:
    device = sign_in(anonymously, email=OTHER).body["device_token"]
    lock_by_stranger(anonymously)
    assert sign_in(anonymously, device).status == 429


@pytest.mark.parametrize(
    "forge",
    [
        lambda token: token[:-1],
        lambda token: token + "x",
        lambda token: token.split(".")[0] + ".",
        lambda token: token.split(".")[0],
        lambda token: "." + token.split(".")[1],
        lambda token: "00000000-0000-7000-8000-000000000000." + token.split(".")[1],
        lambda _: "x" * 10_000,
        lambda _: "\u00e9\u202e",
    ],
)
def test_forged_device_token_is_ignored(anonymously: Anonymously, forge: Any) -> None:
    device = forge(sign_in(anonymously).body["device_token"])
    assert sign_in(anonymously, device).status == 200
    lock_by_stranger(anonymously)
    assert sign_in(anonymously, device).status == 429
