"""Configuration is typed, bounded, versioned and read at run time."""

from typing import Any

import psycopg
import pytest

from tests.support.context import Connection, Context, call, items, refusal, set_config, submit, value


def test_every_config_definition_has_a_value(db: Connection) -> None:
    missing = (
        "select count(*) from app.config_definitions() d left join app.system_configs c using (config_key)"
    )
    assert value(db, missing + " where c.config_value is null") == 0


@pytest.mark.parametrize(
    ("key", "given", "code"),
    [
        ("sla.reminder_hours", 17.5, "INVALID_CONFIG_VALUE"),
        ("sla.reminder_hours", 0, "INVALID_CONFIG_VALUE"),
        ("sla.reminder_hours", "18", "INVALID_CONFIG_VALUE"),
        ("sla.reminder_hours", 22, "INVALID_CONFIG_VALUE"),  # above sla.manager_hours
        ("sla.manager_hours", 25, "INVALID_CONFIG_VALUE"),  # above sla.escalation_hours
        ("loyalty.multiplier.gold", -1, "INVALID_CONFIG_VALUE"),
        ("loyalty.expiration_policy", "MONTHLY", "INVALID_CONFIG_VALUE"),
        ("credit.over_limit_policy", "flag", "INVALID_CONFIG_VALUE"),
        ("credit.over_limit_policy", {"a": 1}, "INVALID_CONFIG_VALUE"),
        ("sla.calendar", {"days": [], "from": "08:00", "until": "17:00"}, "INVALID_CONFIG_VALUE"),
        ("sla.calendar", {"days": [1], "from": "17:00", "until": "08:00"}, "INVALID_CONFIG_VALUE"),
        ("sla.calendar", {"days": [8], "from": "08:00", "until": "17:00"}, "INVALID_CONFIG_VALUE"),
        ("credit.max_overdue_days", -1, "INVALID_CONFIG_VALUE"),
        ("credit.max_overdue_days", [30], "INVALID_CONFIG_VALUE"),
        *[
            ("invoice.reminder_days", given, "INVALID_CONFIG_VALUE")
            for given in (
                7,
                "[7]",
                {"days": [7]},
                [7, 1],
                [7, 7],
                [0, 7],
                [7, 366],
                [1.5],
                ["7"],
                [None],
                [[7]],
                list(range(1, 22)),
            )
        ],
        *[
            ("auth.trusted_proxies", given, "INVALID_CONFIG_VALUE")
            for given in (
                "10.0.0.1",
                ["nginx"],
                ["10.0.0.1/33"],
                [10],
                [None],
                [["10.0.0.1"]],
                [""],
                ["10.0.0.1"] * 21,
            )
        ],
        ("no.such.key", 1, "UNKNOWN_CONFIG"),
        ("", 1, "INVALID_ARGUMENT"),
    ],
)
def test_invalid_config_value_is_refused(
    db: Connection, context: Context, key: str, given: Any, code: str
) -> None:
    assert refusal(db, context.admin, "set_config", config_key=key, config_value=given) == code


def test_config_change_records_version_old_value_and_author(db: Connection, context: Context) -> None:
    changed = call(db, context.admin, "set_config", config_key="sla.reminder_hours", config_value=12)
    assert changed == {"config_key": "sla.reminder_hours", "config_value": 12, "version": 2}
    row = db.execute(
        "select version, old_value, new_value, changed_by::text from app.system_config_history"
        " where config_key = 'sla.reminder_hours' order by version desc limit 1"
    ).fetchone()
    assert row == (2, 18, 12, context.admin.sub)


def test_same_config_value_keeps_the_version(db: Connection, context: Context) -> None:
    set_config(db, context, "sla.reminder_hours", 18)
    assert value(db, "select version from app.system_configs where config_key = 'sla.reminder_hours'") == 1


def test_config_checks_hold_for_sql(db: Connection) -> None:
    with pytest.raises(psycopg.Error, match="INVALID_CONFIG_VALUE"), db.transaction():
        db.execute(
            "update app.system_configs set config_value = '-1' where config_key = 'order.minimum_threshold'"
        )
    with pytest.raises(psycopg.Error, match="APPEND_ONLY"), db.transaction():
        db.execute("delete from app.system_configs")


def test_config_change_applies_to_new_orders_and_not_to_submitted_ones(
    db: Connection, context: Context
) -> None:
    who = context.partners[1]
    before = submit(db, who, items(SKU_000=10))
    set_config(db, context, "loyalty.multiplier.gold", 3)
    after = submit(db, who, items(SKU_000=10))
    assert (before["points_earned"], after["points_earned"]) == (120, 300)
    pinned = value(
        db, "select rules_applied -> 'loyalty.multiplier.gold' from app.orders where id = %s", before["id"]
    )
    assert pinned == {"value": 1.2, "version": 1}


@pytest.mark.parametrize("key", ["auth.max_failures", "order.max_lines", "invoice.due_days.silver"])
def test_whole_number_written_with_a_fraction_is_stored_as_integer(
    db: Connection, context: Context, key: str
) -> None:
    """A value stored as 40.0 cannot be read as an integer: sign-in, orders and approvals would fail."""
    set_config(db, context, key, 40.0)
    assert value(db, "select config_value::text from app.system_configs where config_key = %s", key) == "40"
    assert value(db, "select app.config_int(%s)", key) == 40


@pytest.mark.parametrize("given", [[], [7], [1.0, 7, 365], list(range(1, 21))])
def test_list_of_whole_numbers_is_stored_as_integers(db: Connection, context: Context, given: Any) -> None:
    set_config(db, context, "invoice.reminder_days", given)
    stored = "select config_value::text from app.system_configs where config_key = 'invoice.reminder_days'"
    assert value(db, stored) == str([int(day) for day in given])
    assert value(db, "select app.config_int_list('invoice.reminder_days')") == [int(day) for day in given]


def test_networks_are_stored_in_their_short_form(db: Connection, context: Context) -> None:
    given = ["10.0.0.1/32", "172.16.0.0/12", "2001:DB8:0::/48", "127.0.0.1"]
    set_config(db, context, "auth.trusted_proxies", given)
    stored = "select config_value from app.system_configs where config_key = 'auth.trusted_proxies'"
    assert value(db, stored) == ["10.0.0.1", "172.16.0.0/12", "2001:db8::/48", "127.0.0.1"]


def test_calendar_with_fractional_days_is_refused(db: Connection, context: Context) -> None:
    given = {"days": [1.0, 2], "from": "08:00", "until": "17:00"}
    code = refusal(db, context.admin, "set_config", config_key="sla.calendar", config_value=given)
    assert code == "INVALID_CONFIG_VALUE"


def test_equal_number_in_another_notation_keeps_the_version(db: Connection, context: Context) -> None:
    key = "loyalty.rupiah_per_point"
    set_config(db, context, key, 10000.0)
    row = "select config_value::text, version from app.system_configs where config_key = %s"
    assert db.execute(row, [key]).fetchall() == [("10000", 1)]
