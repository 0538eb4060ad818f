"""Conventions for every object: comments, privileges, security modes, row security."""

from typing import Any

import psycopg
import pytest

from tests.support.test_cluster import needs_plpgsql_check

Db = psycopg.Connection[Any]

OWNERS_VIEWS = {"job_health", "overdue_invoices", "partner_statistics", "receivables", "receivables_by_age"}
"""Reviewed views that read with the owner's rights, each with its own filter or grant."""


def _names(db: Db, query: str) -> list[str]:
    return [name for (name,) in db.execute(query.encode())]


def test_every_table_and_every_exposed_view_has_a_comment(db: Db) -> None:
    assert not _names(
        db,
        """select c.oid::regclass::text from pg_class c
           where c.relnamespace::regnamespace::text in ('app', 'auth', 'jobs', 'api')
             and c.relkind in ('r', 'p', 'v', 'm')
             and not c.relispartition and obj_description(c.oid, 'pg_class') is null""",
    )


def test_every_function_but_a_trigger_function_has_a_comment(db: Db) -> None:
    assert not _names(
        db,
        """select p.oid::regprocedure::text from pg_proc p
           where p.pronamespace::regnamespace::text in ('app', 'auth', 'jobs', 'api')
             and p.prorettype <> 'trigger'::regtype and obj_description(p.oid, 'pg_proc') is null""",
    )


def test_no_function_is_executable_by_public(db: Db) -> None:
    assert not _names(
        db,
        """select p.oid::regprocedure::text from pg_proc p
           where p.pronamespace::regnamespace::text in ('app', 'auth', 'jobs', 'api')
             and exists (
               select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0
             )""",
    )


def test_every_security_definer_function_pins_its_search_path_with_pg_temp_last(db: Db) -> None:
    assert not _names(
        db,
        """select p.oid::regprocedure::text from pg_proc p
           where p.pronamespace::regnamespace::text in ('app', 'auth', 'jobs', 'api') and p.prosecdef
             and not 'search_path=pg_catalog, pg_temp' = any (coalesce(p.proconfig, '{}'))""",
    )


def test_no_other_function_sets_a_search_path(db: Db) -> None:
    assert not _names(
        db,
        """select p.oid::regprocedure::text from pg_proc p
           where p.pronamespace::regnamespace::text in ('app', 'auth', 'jobs', 'api') and not p.prosecdef
             and array_to_string(p.proconfig, ',') like '%search_path=%'""",
    )


def test_every_table_has_row_security(db: Db) -> None:
    assert not _names(
        db,
        """select c.oid::regclass::text from pg_class c
           where c.relnamespace::regnamespace::text in ('app', 'auth', 'jobs')
             and c.relkind in ('r', 'p') and not c.relrowsecurity""",
    )


def test_no_index_is_descending(db: Db) -> None:
    """New rows would split its first page into halves: 1.8 times the pages of an ascending index of times."""
    assert not _names(
        db,
        """select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indexrelid
           where c.relnamespace::regnamespace::text in ('app', 'auth', 'jobs')
             and exists (select from unnest(i.indoption) as o (option) where o.option & 1 = 1)""",
    )


def test_every_view_reads_with_its_callers_rights(db: Db) -> None:
    found = _names(
        db,
        """select c.relname from pg_class c where c.relnamespace = 'api'::regnamespace and c.relkind = 'v'
             and not 'security_invoker=true' = any (coalesce(c.reloptions, '{}'))""",
    )
    assert set(found) == OWNERS_VIEWS


def test_every_policy_names_its_roles(db: Db) -> None:
    assert not _names(
        db, "select format('%s on %s', policyname, tablename) from pg_policies where 'public' = any (roles)"
    )


def test_the_authenticator_owns_nothing_and_inherits_nothing(db: Db) -> None:
    assert not _names(
        db,
        "select c.oid::regclass::text from pg_class c where c.relowner = 'authenticator'::regrole"
        " union all"
        " select p.oid::regprocedure::text from pg_proc p where p.proowner = 'authenticator'::regrole",
    )
    row = db.execute(
        "select rolinherit, rolsuper, rolcreaterole, rolbypassrls from pg_roles"
        " where rolname = 'authenticator'"
    ).fetchone()
    assert row == (False, False, False, False)


@pytest.mark.parametrize(
    "role", ["anon", "partner", "agent", "admin", "superadmin", "subdist", "erp", "messenger"]
)
def test_no_caller_can_log_in_or_pass_row_security(db: Db, role: str) -> None:
    row = db.execute(
        "select rolcanlogin, rolsuper, rolbypassrls from pg_roles where rolname = %s", [role]
    ).fetchone()
    assert row == (False, False, False)


_PLPGSQL = """
select p.oid::regprocedure::text, t.tgrelid::regclass::text, e.lineno, e.level, e.message
from pg_proc p
join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
left join lateral (
  select distinct on (g.tgrelid) g.tgrelid, g.tgoldtable, g.tgnewtable from pg_trigger g
  where g.tgfoid = p.oid and not g.tgisinternal and g.tgparentid = 0
) t on true
cross join lateral plpgsql_check_function_tb(
  p.oid, relid => coalesce(t.tgrelid, 0), oldtable => t.tgoldtable, newtable => t.tgnewtable,
  extra_warnings => true, other_warnings => true
) e
where p.pronamespace::regnamespace::text in ('app', 'auth', 'jobs', 'api')
  and (p.prorettype <> 'trigger'::regtype or t.tgrelid is not null)
"""

ACCEPTED = {
    (
        "app.check_consistency(text)",
        "warning extra",
    ): "names its queries at run time, so that a new invariant is found",
    (
        "app.erase_rows(uuid)",
        "warning extra",
    ): "names its tables at run time, so that a new one is erased, too",
    (
        "app.page_start(regclass,text,integer,timestamp with time zone,text)",
        "warning extra",
    ): "names its table and column at run time: six lists share it",
    (
        "app.leading_partners(regclass,text,boolean,integer,timestamp with time zone,text)",
        "warning extra",
    ): "names its table and column at run time: five lists share it",
    ("app.audited_ids(uuid)", "warning extra"): "names its tables at run time, like app.erase_rows",
    ("jobs.failures()", "warning extra"): "names its query at run time: pg_cron is not everywhere",
}
"""Accepted findings of plpgsql_check: function and level -> reason."""


_SETS = "sets a variable of the transaction, which PostgREST's read-only calls may do, too"
LESS_VOLATILE = {
    "api.metrics()": _SETS,
    "app.check_order(app.orders)": "a CHECK; what it calls is volatile only because it raises",
    "app.is_not_modified(text)": _SETS,
    "auth.keep_request_id()": _SETS,
    "auth.request_guard()": _SETS,
    "jobs.standbys()": "reads positions in the WAL, which differ from one moment to the next",
}
"""Functions that are declared less volatile than what they call: function -> reason.

Newer versions of plpgsql_check report them; 2.3 does not.
"""


def is_accepted(finding: tuple[Any, ...]) -> bool:
    function, _, _, level, message = finding
    if message.startswith("routine is marked as ") and message.endswith(" but expression is VOLATILE"):
        return function in LESS_VOLATILE
    return (function, level) in ACCEPTED


@needs_plpgsql_check
def test_plpgsql_check_finds_nothing(db: Db) -> None:
    db.execute("create extension if not exists plpgsql_check")
    assert [one for one in db.execute(_PLPGSQL).fetchall() if not is_accepted(one)] == []


@needs_plpgsql_check
def test_plpgsql_check_would_find_something(db: Db) -> None:
    db.execute("create extension if not exists plpgsql_check")
    db.execute(
        "create function app.broken_invariants() returns int language plpgsql as"
        " $$ begin return (select no_such_column from app.orders limit 1); end $$"
    )
    assert any(f[0] == "app.broken_invariants()" for f in db.execute(_PLPGSQL).fetchall())
