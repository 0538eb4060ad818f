"""The calendar of the service level: hours, weekdays, holidays, and the zone of the region."""

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.context import Connection, Context, new_id, value
from tests.support.service_level import (
    OFFICE_HOURS,
    escalations,
    set_calendar,
    sla_due_at,
    start_clock,
    sweep,
    waiting_order,
)

JAKARTA = ZoneInfo("Asia/Jakarta")
ROUND_THE_CLOCK = {"days": [1, 2, 3, 4, 5, 6, 7], "from": "00:00", "until": "24:00"}
FRIDAY, MONDAY = "2026-11-20", "2026-11-23"


def due(conn: Connection, start: str, hours: float, calendar: Any = OFFICE_HOURS) -> str:
    """When so many hours of a calendar have passed since `start`, both in Jakarta."""
    started = datetime.fromisoformat(start).replace(tzinfo=JAKARTA)
    return f"{sla_due_at(conn, started, hours, calendar):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("start", "hours", "expected"),
    [
        (f"{MONDAY} 08:00", 1, f"{MONDAY} 09:00"),
        (f"{MONDAY} 08:00", 9, f"{MONDAY} 17:00"),
        (f"{MONDAY} 08:00", 10, "2026-11-24 09:00"),
        (f"{MONDAY} 06:00", 1, f"{MONDAY} 09:00"),  # before it opens
        (f"{MONDAY} 20:00", 1, "2026-11-24 09:00"),  # after it closes
        (f"{FRIDAY} 16:00", 2, f"{MONDAY} 09:00"),  # over the weekend
        ("2026-11-21 12:00", 1, f"{MONDAY} 09:00"),  # on a Saturday
        ("2026-12-24 16:30", 1, "2026-12-28 08:30"),  # Christmas is a Friday
        (f"{MONDAY} 08:00", 18, "2026-11-24 17:00"),
        (f"{MONDAY} 08:00", 45, "2026-11-27 17:00"),
    ],
)
def test_only_working_hours_count(db: Connection, start: str, hours: float, expected: str) -> None:
    assert due(db, start, hours) == expected


def test_calendar_always_is_the_wall_clock(db: Connection) -> None:
    assert due(db, f"{FRIDAY} 22:00", 24, "ALWAYS") == "2026-11-21 22:00"
    assert due(db, f"{FRIDAY} 22:00", 24, ROUND_THE_CLOCK) == "2026-11-21 22:00"


def test_holidays_do_not_depend_on_the_date_style(db: Connection) -> None:
    db.execute("set local datestyle = 'SQL, DMY'")
    assert due(db, "2026-12-24 16:30", 1) == "2026-12-28 08:30"


@pytest.mark.parametrize(
    ("zone", "utc"), [("Asia/Jakarta", "01:00"), ("Asia/Makassar", "00:00"), ("Asia/Jayapura", "23:00")]
)
def test_working_hours_follow_the_zone_of_the_region(db: Connection, zone: str, utc: str) -> None:
    found = value(
        db,
        "select to_char(app.sla_due_at('2026-11-21 12:00+00', 0.0001, %s::jsonb, %s) at time zone 'UTC',"
        " 'HH24:MI')",
        json.dumps(OFFICE_HOURS),
        zone,
    )
    assert found == utc


def test_calendar_of_holidays_only_falls_back_to_the_wall_clock(db: Connection) -> None:
    sundays = value(
        db,
        "select jsonb_agg(to_char(d, 'YYYY-MM-DD')) from generate_series('2026-11-22'::date,"
        " '2026-11-22'::date + 7 * 600, interval '7 days') as d",
    )
    calendar = {"days": [7], "from": "08:00", "until": "17:00", "holidays": sundays}
    assert due(db, f"{MONDAY} 08:00", 18, calendar) == "2026-11-24 02:00"


@pytest.mark.parametrize(
    "calendar",
    [
        "NEVER",
        {},
        {"days": [], "from": "08:00", "until": "17:00"},
        {"days": [0], "from": "08:00", "until": "17:00"},
        {"days": [1], "from": "17:00", "until": "08:00"},
        {"days": [1], "from": "8", "until": "17:00"},
        {"days": [1], "from": "08:00", "until": "17:00", "holidays": ["25-12-2026"]},
        {"days": [1], "from": "08:00", "until": "17:00", "holidays": "2026-12-25"},
    ],
)
def test_invalid_calendar_is_refused(db: Connection, calendar: Any) -> None:
    assert value(db, "select app.is_calendar(%s::jsonb)", json.dumps(calendar)) is False


@pytest.mark.parametrize(
    "date",
    ["2026-02-30", "2025-02-29", "2100-02-29", "2026-04-31", "2026-13-01", "2026-00-10", "2026-01-00",
     "2026-01-32", "0000-01-01", "2026-1-1", "2026-01-01 ", "2026-01-01T00:00", "", 20260101, None, []],
)  # fmt: skip
def test_calendar_with_a_holiday_that_does_not_exist_is_refused(db: Connection, date: Any) -> None:
    calendar = {"days": [1], "from": "08:00", "until": "17:00", "holidays": ["2026-12-25", date]}
    assert value(db, "select app.is_calendar(%s::jsonb)", json.dumps(calendar)) is False


@pytest.mark.parametrize("date", ["2028-02-29", "2000-02-29", "2026-12-31", "2026-04-30", "0001-01-01"])
def test_calendar_with_an_existing_holiday_is_accepted(db: Connection, date: str) -> None:
    calendar = {"days": [1], "from": "08:00", "until": "24:00", "holidays": [date]}
    assert value(db, "select app.is_calendar(%s::jsonb)", json.dumps(calendar)) is True


def test_region_inherits_the_time_zone_of_its_parent(db: Connection, context: Context) -> None:
    papua = context.regions["papua"]
    db.execute("update app.regions set time_zone = 'Asia/Jayapura' where id = %s", [papua])
    below = new_id(
        db,
        "insert into app.regions (name, code, parent_region_id) values ('Sorong', 'W-SOR', %s)",
        papua,
    )
    zone = "select app.region_time_zone(%s)"
    assert value(db, zone, below) == "Asia/Jayapura"
    assert value(db, zone, context.regions["bandung"]) == "Asia/Jakarta"


def test_sweep_uses_the_calendar(db: Connection, context: Context) -> None:
    """No one is reminded while the calendar is closed; with ALWAYS, every level is due."""
    late = waiting_order(db, context)
    days = value(db, "select extract(isodow from now() at time zone 'Asia/Jakarta' + interval '3 days')::int")
    calendar = {"days": [days], "from": "08:00", "until": "17:00"}
    set_calendar(db, calendar)
    start_clock(db, late, 30)
    assert sweep(db) == 0
    set_calendar(db, "ALWAYS")
    sweep(db)
    assert escalations(db, late) == {"REMINDER": 1, "MANAGER": 2, "HQ_INTERVENTION": 2}


@pytest.mark.regression("zammad/zammad#4432")
@pytest.mark.regression("glpi-project/glpi#22678")
def test_due_time_is_never_outside_working_hours(db: Connection) -> None:
    """Reminders were sent at midnight and on Sundays."""
    start = datetime(2026, 12, 18, 0, 30, tzinfo=JAKARTA)
    for step in range(24 * 10):
        moment = start + timedelta(hours=step)
        for hours in (0.5, 9, 18):
            when = sla_due_at(db, moment, hours)
            assert when.isoweekday() <= 5, (moment, hours)
            assert when.date().isoformat() != "2026-12-25", (moment, hours)
            assert 8 <= when.hour + when.minute / 60 <= 17, (moment, hours)


@pytest.mark.regression("frappe/helpdesk#2449")
@pytest.mark.parametrize("hours", [1, 8, 18, 40])
def test_start_outside_working_hours_counts_from_the_next_opening(db: Connection, hours: int) -> None:
    """A night on hold moved the deadline by a night; hours outside the calendar do not count."""
    friday_evening = datetime(2026, 11, 20, 20, 0, tzinfo=JAKARTA)
    monday_morning = datetime(2026, 11, 23, 8, 0, tzinfo=JAKARTA)
    assert sla_due_at(db, friday_evening, hours) == sla_due_at(db, monday_morning, hours)
