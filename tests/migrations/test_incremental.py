"""A migration touches what changed, and what depends on it: nothing else."""

import pytest

from devtools.docs.snapshot import schema_sql
from hub.migrate import MigrationError, preview
from tests.conftest import EmptyDatabase
from tests.migrations.conftest import FILES, Sample, query, run

ROWS = """
select 'function ' || oid::regprocedure, xmin::text from pg_proc
where pronamespace::regnamespace::text in ('app', 'api')
union all
select relkind::text || ' ' || oid::regclass, xmin::text from pg_class
where relnamespace::regnamespace::text in ('app', 'api') and relkind in ('r', 'v')
union all
select 'trigger ' || tgname, xmin::text from pg_trigger where not tgisinternal
union all
select 'policy ' || polname, xmin::text from pg_policy
"""
"""Rows of the catalogue with the transaction that wrote them."""


BIGINT = "returns int language sql immutable", "returns bigint language sql"
"""Another signature of app.double."""


def written(url: str) -> dict[str, str]:
    return dict(query(url, ROWS))


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Rows that are new, gone, or written again."""
    return {name for name in before | after if before.get(name) != after.get(name)}


def replace(sample: Sample, name: str, old: str, new: str) -> None:
    text = (sample.tree.sql / name).read_text()
    assert old in text
    sample.write(name, text.replace(old, new))


def test_edited_comment_changes_nothing_in_the_database(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    before = written(empty_database)
    for name in ("functions/things.sql", "policies/things.sql", "api/things.sql"):
        sample.append(name, "\n-- a comment\n")
    report = sample.migrate(empty_database)
    assert not report.changed
    assert len(report.files_changed) == 3
    assert written(empty_database) == before
    assert sample.migrate(empty_database).files_changed == []


EDITS = [
    ("functions/zz_later.sql", "p_value * 2", "p_value * 3", "function app.twice(integer)"),
    ("functions/things.sql", "'touched'", "'t'", "function app.tg_more__touch()"),
    ("functions/things.sql", "before insert on", "before insert or update on", "trigger _100_touch"),
    ("policies/things.sql", "using (id > 0)", "using (id > 1)", "policy things__partner_select"),
    ("api/things.sql", "id, label", "id, label, discount", "v api.things"),
]
"""File, old text, new text, and the only row of the catalogue that changes."""


def test_only_the_changed_object_is_written(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    for name, old, new, row in EDITS:
        before = written(empty_database)
        replace(sample, name, old, new)
        report = sample.migrate(empty_database)
        assert len(report.objects) == 1, report.objects
        assert changed(before, written(empty_database)) == {row}


def test_changed_signature_recreates_what_depends_on_it_with_grants_and_comments(
    sample: Sample, empty_databases: EmptyDatabase
) -> None:
    upgraded, fresh = empty_databases(), empty_databases()
    sample.append(
        "api/things.sql",
        "create view api.doubled as select app.double(id) as twice from app.things;\n"
        "create view api.more as select twice from api.doubled;\n"
        "create function api.all_more() returns setof api.more language sql as 'select * from api.more';\n"
        "comment on view api.doubled is 'Doubled';\ncomment on column api.doubled.twice is 'Twice';\n"
        "grant select on api.doubled, api.more to partner;\n"
        "grant execute on function api.all_more() to agent;\n",
    )
    sample.append(
        "policies/things.sql",
        "create policy more__partner_select on app.more for select to partner using (app.double(id) > 1);\n",
    )
    sample.migrate(upgraded)
    before = written(upgraded)
    replace(sample, "functions/things.sql", *BIGINT)
    report = sample.migrate(upgraded)
    assert "recreated function app.double" in report.objects
    assert changed(before, written(upgraded)) == {
        *("function app.double(integer)", "v api.doubled", "v api.more"),
        *("function api.all_more()", "policy more__partner_select"),
    }
    sample.migrate(fresh)
    assert schema_sql(upgraded) == schema_sql(fresh)


def test_changed_arguments_leave_no_overload(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    sample.write(
        "functions/zz_later.sql",
        "create function app.twice(p_value bigint) returns int language sql\n"
        "as 'select (2 * p_value)::int';\n",
    )
    sample.migrate(empty_database)
    assert query(empty_database, "select oid::regprocedure::text from pg_proc where proname = 'twice'") == [
        ("app.twice(bigint)",)
    ]


def test_function_that_a_table_depends_on_cannot_be_recreated(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    run(empty_database, "alter table app.more alter note set default app.double(1)::text")
    before = schema_sql(empty_database)
    replace(sample, "functions/things.sql", *BIGINT)
    with pytest.raises(MigrationError, match="an object of a schema file depends on it"):
        sample.migrate(empty_database)
    assert schema_sql(empty_database) == before


BY_HAND = [
    "create or replace function app.twice(p_value int) returns int language sql immutable as 'select 9'",
    "alter policy things__partner_select on app.things using (true)",
    "drop trigger _100_touch on app.more",
    "create or replace view api.things as select id, 'x'::text as label from app.things",
    "create function app.by_hand() returns int language sql as 'select 1'",
    "grant delete on app.things to anon",
    "revoke select on app.things from partner",
]


def test_change_by_hand_lasts_until_the_next_migration(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    before = schema_sql(empty_database)
    for edit in BY_HAND[-2:]:
        run(empty_database, edit)
        assert sample.migrate(empty_database).objects == ["granted all privileges again"]
    run(empty_database, ";".join(BY_HAND))
    assert len(sample.migrate(empty_database).objects) >= len(BY_HAND[:-2])
    assert schema_sql(empty_database) == before
    assert not sample.migrate(empty_database).changed


def test_triggers_of_blocks_follow_their_block(sample: Sample, empty_databases: EmptyDatabase) -> None:
    block = (
        "do $$ begin execute 'create trigger _200_again before {} on app.more"
        " for each row execute function app.tg_more__touch()'; end $$;\n"
    )
    upgraded, fresh = empty_databases(), empty_databases()
    sample.write("functions/things_blocks.sql", block.format("update"))
    sample.migrate(upgraded)
    assert not sample.migrate(upgraded).changed
    sample.write("functions/things_blocks.sql", block.format("delete"))
    assert sample.migrate(upgraded).objects == ["ran 1 blocks that create triggers"]
    run(upgraded, "drop trigger _200_again on app.more")
    assert sample.migrate(upgraded).changed
    sample.migrate(fresh)
    assert schema_sql(upgraded) == schema_sql(fresh)
    sample.remove("functions/things_blocks.sql")
    sample.migrate(upgraded)
    assert query(upgraded, "select tgname::text from pg_trigger where not tgisinternal") == [("_100_touch",)]


def test_removed_comment_and_grant_are_removed_from_the_database(
    sample: Sample, empty_databases: EmptyDatabase
) -> None:
    upgraded, fresh = empty_databases(), empty_databases()
    kept = (sample.tree.sql / "api/things.sql").read_text()
    sample.append(
        "api/things.sql",
        "comment on view api.things is 'x';\ncomment on column api.things.id is 'y';\n"
        "comment on function app.double(int) is 'z';\ngrant select on api.things to agent;\n",
    )
    sample.migrate(upgraded)
    sample.write("api/things.sql", kept)
    sample.migrate(upgraded)
    sample.migrate(fresh)
    assert schema_sql(upgraded) == schema_sql(fresh)


def test_new_statement_on_rows_is_run_and_recorded(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    sample.append("functions/zz_later.sql", "insert into app.things values (1) on conflict do nothing;\n")
    assert sample.migrate(empty_database).objects == ["ran 1 new statements on rows"]
    assert query(empty_database, "select id from app.things") == [(1,)]
    assert preview(empty_database, sql_root=sample.tree.sql, migrations_root=sample.tree.migrations) == [
        "nothing to do"
    ]
    assert not sample.migrate(empty_database).changed


def test_other_statements_are_refused_with_their_line(sample: Sample, empty_database: str) -> None:
    sample.append("functions/zz_later.sql", "create index things_label on app.things (label);\n")
    with pytest.raises(MigrationError, match=r"zz_later\.sql:2: a repeatable file cannot contain"):
        sample.migrate(empty_database)


def test_statement_that_is_needed_earlier_is_applied_first(sample: Sample, empty_database: str) -> None:
    """A new view of a new function, in files whose order is the other one."""
    sample.migrate(empty_database)
    sample.write("functions/aaa.sql", "create view app.early as select app.late_number() as number;\n")
    sample.write(
        "functions/zzz.sql", "create function app.late_number() returns int language sql as 'select 3';\n"
    )
    sample.migrate(empty_database)
    assert query(empty_database, "select number from app.early") == [(3,)]


def test_function_that_calls_a_removed_one_is_refused(sample: Sample, empty_database: str) -> None:
    sample.append(
        "functions/zz_later.sql",
        "create function app.thrice(p_value int) returns int language sql as 'select 3 * p_value';\n",
    )
    sample.append(
        "functions/things.sql",
        "create function app.caller() returns int language sql as 'select app.thrice(1)';\n",
    )
    sample.migrate(empty_database)
    sample.write("functions/zz_later.sql", FILES["functions/zz_later.sql"])
    with pytest.raises(MigrationError, match=r"things\.sql:\d+: app\.caller\(\): function app\.thrice"):
        sample.migrate(empty_database)
    assert query(empty_database, "select app.caller()") == [(3,)]
