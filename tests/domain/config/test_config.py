"""Configuration: typed, bounded, versioned, and read at run time."""

from typing import Any

import psycopg
import pytest

from tests.support.context import Connection, Context, call, items, make_context, refusal, submit, value


@pytest.fixture
def context(db: Connection) -> Context:
    return make_context(db)


def test_every_definition_has_its_row(db: Connection) -> None:
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
        ("no.such.key", 1, "UNKNOWN_CONFIG"),
        ("", 1, "INVALID_ARGUMENT"),
    ],
)
def test_a_wrong_value_is_refused(db: Connection, context: Context, key: str, given: Any, code: str) -> None:
    assert refusal(db, context.admin, "set_config", config_key=key, config_value=given) == code


def test_a_change_counts_keeps_the_old_value_and_says_who(db: Connection, context: Context) -> None:
    changed = call(db, context.admin, "set_config", config_key="sla.reminder_hours", config_value=12)
    assert changed == {"config_key": "sla.reminder_hours", "config_value": 12, "version": 2}
    row = db.execute(
        "select version, old_value, new_value, changed_by::text from app.system_config_history"
        " where config_key = 'sla.reminder_hours' order by version desc limit 1"
    ).fetchone()
    assert row == (2, 18, 12, context.admin.sub)


def test_the_same_value_again_is_no_change(db: Connection, context: Context) -> None:
    call(db, context.admin, "set_config", config_key="sla.reminder_hours", config_value=18)
    assert value(db, "select version from app.system_configs where config_key = 'sla.reminder_hours'") == 1


def test_psql_meets_the_same_checks(db: Connection) -> None:
    with pytest.raises(psycopg.Error, match="INVALID_CONFIG_VALUE"), db.transaction():
        db.execute(
            "update app.system_configs set config_value = '-1' where config_key = 'order.minimum_threshold'"
        )
    with pytest.raises(psycopg.Error, match="APPEND_ONLY"), db.transaction():
        db.execute("delete from app.system_configs")


def test_a_change_holds_from_the_next_order_on_and_the_old_order_keeps_what_it_pinned(
    db: Connection, context: Context
) -> None:
    who = context.partners[1]
    before = submit(db, who, items(SKU_000=10))
    call(db, context.admin, "set_config", config_key="loyalty.multiplier.gold", config_value=3)
    after = submit(db, who, items(SKU_000=10))
    assert (before["points_earned"], after["points_earned"]) == (120, 300)
    pinned = value(
        db, "select rules_applied -> 'loyalty.multiplier.gold' from app.orders where id = %s", before["id"]
    )
    assert pinned == {"value": 1.2, "version": 1}


@pytest.mark.parametrize("key", ["auth.max_failures", "order.max_lines", "invoice.due_days.silver"])
def test_a_whole_number_with_a_point_is_that_number(db: Connection, context: Context, key: str) -> None:
    """It was kept as 40.0, which the rules could not read: nobody could sign in, order or approve."""
    call(db, context.admin, "set_config", config_key=key, config_value=40.0)
    assert value(db, "select config_value::text from app.system_configs where config_key = %s", key) == "40"
    assert value(db, "select app.config_int(%s)", key) == 40


def test_days_of_a_calendar_with_a_point_are_refused(db: Connection, context: Context) -> None:
    given = {"days": [1.0, 2], "from": "08:00", "until": "17:00"}
    told = refusal(db, context.admin, "set_config", config_key="sla.calendar", config_value=given)
    assert told == "INVALID_CONFIG_VALUE"


def test_a_value_written_otherwise_is_no_change(db: Connection, context: Context) -> None:
    key = "loyalty.rupiah_per_point"
    call(db, context.admin, "set_config", config_key=key, config_value=10000.0)
    row = "select config_value::text, version from app.system_configs where config_key = %s"
    assert db.execute(row, [key]).fetchall() == [("10000", 1)]
