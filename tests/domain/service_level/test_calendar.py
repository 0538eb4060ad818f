"""The clock of the business calendar: hours, weekdays, holidays, and the zone of the region."""

import json
from datetime import datetime
from typing import Any

import pytest

from tests.domain.service_level.conftest import levels, order, started, sweep
from tests.support.context import Connection, Context, new_id, value

OFFICE = {"days": [1, 2, 3, 4, 5], "from": "08:00", "until": "17:00", "holidays": ["2026-12-25"]}
ROUND_THE_CLOCK = {"days": [1, 2, 3, 4, 5, 6, 7], "from": "00:00", "until": "24:00"}
FRIDAY, MONDAY = "2026-11-20", "2026-11-23"


def due(conn: Connection, start: str, hours: float, calendar: Any, zone: str = "Asia/Jakarta") -> str:
    """When so many hours have run since `start`, both by the wall of the zone."""
    found = value(
        conn,
        "select app.sla_due_at(%s::timestamp at time zone %s, %s, %s::jsonb, %s) at time zone %s",
        start,
        zone,
        hours,
        json.dumps(calendar),
        zone,
        zone,
    )
    assert isinstance(found, datetime)
    return f"{found:%Y-%m-%d %H:%M}"


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
def test_only_office_hours_count(db: Connection, start: str, hours: float, expected: str) -> None:
    assert due(db, start, hours, OFFICE) == expected


def test_always_on_is_the_wall_clock(db: Connection) -> None:
    assert due(db, f"{FRIDAY} 22:00", 24, "ALWAYS") == "2026-11-21 22:00"
    assert due(db, f"{FRIDAY} 22:00", 24, ROUND_THE_CLOCK) == "2026-11-21 22:00"


def test_holidays_are_known_in_whatever_way_dates_are_written(db: Connection) -> None:
    db.execute("set local datestyle = 'SQL, DMY'")
    assert due(db, "2026-12-24 16:30", 1, OFFICE) == "2026-12-28 08:30"


@pytest.mark.parametrize(
    ("zone", "utc"), [("Asia/Jakarta", "01:00"), ("Asia/Makassar", "00:00"), ("Asia/Jayapura", "23:00")]
)
def test_each_zone_opens_by_its_own_wall(db: Connection, zone: str, utc: str) -> None:
    found = value(
        db,
        "select to_char(app.sla_due_at('2026-11-21 12:00+00', 0.0001, %s::jsonb, %s) at time zone 'UTC',"
        " 'HH24:MI')",
        json.dumps(OFFICE),
        zone,
    )
    assert found == utc


def test_a_calendar_of_holidays_only_falls_back_to_the_wall_clock_and_ends(db: Connection) -> None:
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
def test_a_calendar_without_working_time_is_refused(db: Connection, calendar: Any) -> None:
    assert value(db, "select app.is_calendar(%s::jsonb)", json.dumps(calendar)) is False


def test_a_zone_is_inherited_from_the_region_above(db: Connection, context: Context) -> None:
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


def test_the_sweep_heeds_the_calendar(db: Connection, context: Context) -> None:
    """Open on no day but one that lies a week ahead: nobody is reminded; always on: everybody is."""
    late = order(db, context)
    days = value(db, "select extract(isodow from now() at time zone 'Asia/Jakarta' + interval '3 days')::int")
    calendar = {"days": [days], "from": "08:00", "until": "17:00"}
    db.execute("select app.set_config_value('sla.calendar', %s::jsonb)", [json.dumps(calendar)])
    started(db, late, 30)
    assert sweep(db) == 0
    db.execute("select app.set_config_value('sla.calendar', '\"ALWAYS\"')")
    sweep(db)
    assert levels(db, late) == {"REMINDER": 1, "MANAGER": 2, "HQ_INTERVENTION": 2}
