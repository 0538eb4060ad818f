"""The mission to the letter, from M-2-1 to M-9-14, as data in mission.toml."""

import re
import tomllib
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hub import paths

MISSION = tomllib.loads((Path(__file__).parent / "mission.toml").read_text())
TABLES: dict[str, dict[str, str]] = MISSION["tables"]
ENUMS: dict[str, list[str]] = MISSION["enums"]
INDEXES: dict[str, str] = MISSION["indexes"]
FOREIGN_KEYS: list[str] = MISSION["foreign_keys"]

Db = psycopg.Connection[Any]


def _scalar(db: Db, query: str, *arguments: object) -> Any:
    row = db.execute(query, arguments).fetchone()
    return row[0] if row else None


def test_the_mission_has_21_tables_14_enums_and_21_indexes() -> None:
    assert (len(TABLES), len(ENUMS), len(INDEXES)) == (21, 14, 21)


@pytest.mark.parametrize("table", TABLES)
def test_each_column_has_its_type_nullability_and_default(db: Db, table: str) -> None:
    found = {
        name: f"{kind}{' not null' if required else ''}{f' default {default}' if default else ''}"
        for name, kind, required, default in db.execute(
            """select a.attname,
                 -- a domain has the type of the mission below its check
                 replace(format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid),
                   case when t.typtype = 'd' then t.typtypmod else a.atttypmod end), 'app.', ''),
                 a.attnotnull,
                 case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end
               from pg_attribute a join pg_type t on t.oid = a.atttypid
               left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
               where a.attrelid = to_regclass('app.' || %s) and a.attnum > 0 and not a.attisdropped""",
            [table],
        )
    }
    for column, wanted in TABLES[table].items():
        assert column in found, f"app.{table}.{column} is missing"
        actual = re.sub(r"::(app\.)?\w+", "", found[column])
        assert actual.startswith(wanted), f"app.{table}.{column}: {actual}, not {wanted}"


@pytest.mark.parametrize("name", ENUMS)
def test_each_enum_has_its_labels_in_their_order(db: Db, name: str) -> None:
    assert _scalar(db, f"select enum_range(null::app.{name})::text[]") == ENUMS[name]


def test_no_other_enum_exists(db: Db) -> None:
    """None but that of D-3.awaiting-1."""
    found = db.execute(
        "select t.typname from pg_type t where t.typtype = 'e' and t.typnamespace::regnamespace::text = 'app'"
    )
    assert {name for (name,) in found} == {*ENUMS, "awaiting_enum"}


@pytest.mark.parametrize("name", INDEXES)
def test_each_index_has_its_columns_uniqueness_and_predicate(db: Db, name: str) -> None:
    definition = _scalar(db, "select pg_get_indexdef(to_regclass('app.' || %s))", name)
    assert definition, f"{name} is missing"
    plain = re.sub(r"::(app\.)?\w+(\[\])?", "", definition).replace("app.", "").replace("ONLY ", "")
    assert plain == INDEXES[name]


@pytest.mark.parametrize("relation", FOREIGN_KEYS)
def test_each_relation_is_a_foreign_key(db: Db, relation: str) -> None:
    source, target = relation.split(" -> ")
    table, column = source.split(".")
    assert _scalar(
        db,
        """select exists (
             select from pg_constraint c
             join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
             where c.contype = 'f' and c.conrelid = to_regclass('app.' || %s) and a.attname = %s
               and c.confrelid = to_regclass('app.' || %s))""",
        table,
        column,
        target,
    ), relation


@pytest.mark.parametrize(
    ("policy", "table", "role"),
    [
        ("partner_orders", "orders", "partner"),
        ("partner_invoices", "invoices", "partner"),
        ("agent_orders", "orders", "agent"),
        ("subdist_orders", "orders", "subdist"),
    ],
)
def test_each_policy_of_the_mission_exists_for_its_role(db: Db, policy: str, table: str, role: str) -> None:
    row = db.execute(
        "select roles::text[], cmd from pg_policies where schemaname = 'app'"
        " and policyname = %s and tablename = %s",
        [policy, table],
    ).fetchone()
    assert row == ([role], "SELECT")


@pytest.mark.parametrize(("key", "value"), MISSION["configs"].items())
def test_each_config_key_has_its_example_as_default(db: Db, key: str, value: object) -> None:
    assert _scalar(db, "select config_value from app.system_configs where config_key = %s", key) == value


def test_the_trigger_of_the_mission_keeps_the_point_balance(db: Db) -> None:
    assert (
        _scalar(
            db,
            "select tgfoid::regproc::text from pg_trigger where tgname = 'trg_point_balance'"
            " and tgrelid = 'app.point_transactions'::regclass",
        )
        == "app.update_partner_point_balance"
    )


def test_tables_are_created_in_the_phases_of_the_mission() -> None:
    created = [
        table
        for file in sorted((paths.sql_root() / "schema").glob("*.sql"))
        for table in re.findall(r"^create table app\.(\w+)", file.read_text(), re.MULTILINE)
        if table in TABLES
    ]
    step = {table: number for number, tables in enumerate(MISSION["phases"]) for table in tables}
    assert sorted(created) == sorted(step) == sorted(TABLES)
    late = ["agent_sessions"]  # with their notices, in the file of their domain: ADR 9
    in_order = [step[table] for table in created if table not in late]
    assert in_order == sorted(in_order)


def test_ids_are_version_7_and_sort_by_time(db: Db) -> None:
    ids = [str(i) for (i,) in db.execute("select app.uuid_v7() from generate_series(1, 50)")]
    assert {i[14] for i in ids} == {"7"}
    assert {i[19] for i in ids} <= set("89ab")
    later = str(_scalar(db, "select app.uuid_v7() from pg_sleep(0.002)"))
    assert later > max(ids)
