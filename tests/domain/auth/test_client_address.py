"""The caller's address is the last hop that a trusted proxy wrote, never what the caller claims."""

import pytest

from tests.domain.auth.conftest import Anonymously
from tests.support.calls import call_rpc
from tests.support.context import Connection, Context, items, set_config, value
from tests.support.queries import audit_rows

CLIENT = "203.0.113.7"


@pytest.mark.parametrize(
    ("proxies", "header", "address"),
    [
        # no proxy is trusted: the caller alone wrote the header
        ([], CLIENT, None),
        ([], "10.0.0.1", None),
        # one proxy, which sets the header or appends to it
        (["10.0.0.1"], CLIENT, CLIENT),
        (["10.0.0.1"], f"198.51.100.1, {CLIENT}", CLIENT),
        (["10.0.0.1"], f"10.0.0.1, {CLIENT}", CLIENT),
        # several
        (["10.0.0.0/8"], f"198.51.100.1,{CLIENT} , 10.1.2.3", CLIENT),
        (["10.0.0.0/8", "2001:db8:1::/48"], f"x, {CLIENT}, 2001:db8:1::5, 10.1.2.3", CLIENT),
        (["10.0.0.0/8"], f"{CLIENT}, 192.0.2.9, 10.1.2.3", "192.0.2.9"),
        # what is left when the caller is inside the trusted network, or wrote no address
        (["10.0.0.0/8"], "10.9.9.9, 10.1.2.3", "10.9.9.9"),
        (["10.0.0.0/8"], "unknown, 10.9.9.9", "10.9.9.9"),
        (["10.0.0.0/8"], f"{CLIENT}, unknown, 10.9.9.9", "10.9.9.9"),
        (["10.0.0.0/8"], "unknown", None),
        (["10.0.0.0/8"], "", None),
        (["10.0.0.0/8"], None, None),
        # forms of an address
        (["10.0.0.1"], "203.0.113.7:4711", CLIENT),
        (["10.0.0.1"], "::ffff:203.0.113.7", CLIENT),
        (["10.0.0.1"], "[2001:db8::7]:4711", "2001:db8::7"),
        (["10.0.0.1"], '"[2001:DB8::7]"', "2001:db8::7"),
        (["10.0.0.1"], "203.0.113.7/8", CLIENT),
        (["10.0.0.1"], "203.0.113.999", None),
        (["::ffff:10.0.0.1", "10.0.0.1"], f"{CLIENT}, 10.0.0.1", CLIENT),
        (["10.0.0.1"], "6" * 5000 + f", {CLIENT}", CLIENT),
        (["10.0.0.1"], f"{CLIENT}, " + "6" * 5000, None),
    ],
)
def test_address_is_the_last_that_is_no_trusted_proxy(
    db: Connection, context: Context, proxies: list[str], header: str | None, address: str | None
) -> None:
    set_config(db, context, "auth.trusted_proxies", proxies)
    headers = {} if header is None else {"X-Forwarded-For": header}
    call_rpc(db, context.agents[0], "start_shadow_session", headers, partner_id=context.partners[0].sub)
    assert value(db, "select ip_address from app.agent_sessions") == address
    call_rpc(db, context.partners[0], "save_draft", headers, items=items(SKU_000=1))
    (row,) = audit_rows(db, action="INSERT", target_type="orders")
    assert row["ip_address"] == address


def guess(anonymously: Anonymously, account: int, header: str) -> int:
    """Sign in with a wrong password; returns the status."""
    given = {"email": f"unknown{account}@hub.test", "password": "salah-sekali"}
    return anonymously("login", {"X-Forwarded-For": header}, **given).status


@pytest.mark.usefixtures("passwords")
def test_invented_addresses_neither_evade_the_throttle_nor_lock_a_stranger_out(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    set_config(db, context, "auth.max_failures_per_address", 3)

    stranger = "198.51.100.9"
    answers = [guess(anonymously, i, f"{stranger}, 192.0.2.{i}, {CLIENT}") for i in range(4)]
    assert answers == [401, 401, 401, 429]
    assert guess(anonymously, 4, stranger) == 401, "the address that the caller invented does not wait"


@pytest.mark.usefixtures("passwords")
def test_ipv6_addresses_of_one_network_are_throttled_as_one_caller(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    set_config(db, context, "auth.max_failures_per_address", 2)

    assert [guess(anonymously, i, f"2001:db8::{i + 1}") for i in range(3)] == [401, 401, 429]
    assert guess(anonymously, 3, "2001:db8:0:1::1") == 401


def test_change_of_the_trusted_proxies_takes_effect_at_once(db: Connection, context: Context) -> None:
    headers = {"X-Forwarded-For": f"{CLIENT}, 192.0.2.9"}
    with db.transaction():
        for proxies, address in (([], None), (["192.0.2.9"], CLIENT), (["10.0.0.0/8"], "192.0.2.9")):
            set_config(db, context, "auth.trusted_proxies", proxies)
            call_rpc(
                db, context.agents[0], "start_shadow_session", headers, partner_id=context.partners[0].sub
            )
            newest = "select ip_address from app.agent_sessions order by id desc limit 1"
            assert value(db, newest) == address
