"""What linters of PostgreSQL services look for (splinter, pgspot): no finding in this database."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hub import paths
from tests.support.context import Connection

SCHEMAS = "('app', 'api', 'auth', 'jobs')"
CALLERS = "('anon', 'partner', 'agent', 'admin', 'superadmin', 'subdist', 'erp', 'messenger', 'monitor')"

LINTS = {
    "view of security definer without a barrier": """
        select c.oid::regclass::text from pg_class c
        where c.relnamespace = 'api'::regnamespace and c.relkind = 'v'
          and not coalesce(c.reloptions && array['security_invoker=true', 'security_barrier=true'], false)
          and exists (
            select from unnest(array['anon', 'partner', 'agent', 'subdist', 'erp', 'messenger']) as r
            where has_table_privilege(r, c.oid, 'SELECT')
          )""",
    "function of security definer with a mutable search_path": """
        select p.oid::regprocedure::text from pg_proc p
        where p.pronamespace::regnamespace::text in {schemas} and p.prosecdef
          and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)""",
    "function that everyone may execute": """
        select p.oid::regprocedure::text
        from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        where p.pronamespace::regnamespace::text in {schemas} and a.grantee = 0""",
    "relation that everyone may read": """
        select c.oid::regclass::text
        from pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
        where c.relnamespace::regnamespace::text in {schemas} and c.relkind in ('r', 'p', 'v', 'm')
          and a.grantee = 0""",
    "table without row security": """
        select c.oid::regclass::text from pg_class c
        where c.relnamespace::regnamespace::text in {schemas} and c.relkind in ('r', 'p')
          and not c.relrowsecurity""",
    "policies of a table without row security": """
        select p.polrelid::regclass::text from pg_policy p join pg_class c on c.oid = p.polrelid
        where not c.relrowsecurity""",
    "policy that reads the caller for each row": """
        select p.polrelid::regclass || '.' || p.polname
        from pg_policy p
        where concat(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
          ~ '(?<!SELECT )(?<!FROM )\\m(auth\\.\\w+|current_setting)\\('""",
    "two permissive policies of one role and command": """
        select p.polrelid::regclass || ' ' || r || ' ' || p.polcmd::text
        from pg_policy p, unnest(p.polroles) r where p.polpermissive
        group by p.polrelid, r, p.polcmd having count(*) > 1""",
    "policy for everyone": """
        select p.polrelid::regclass || '.' || p.polname from pg_policy p where 0 = any (p.polroles)""",
    "caller's role beyond reading and writing rows": """
        select c.oid::regclass || ' ' || a.privilege_type || ' ' || a.grantee::regrole
        from pg_class c, aclexplode(c.relacl) a
        where c.relnamespace::regnamespace::text in {schemas} and a.grantee::regrole::text in {callers}
          and a.privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE')""",
    "grant that can be passed on": """
        select c.oid::regclass || ' ' || a.grantee::regrole
        from pg_class c, aclexplode(c.relacl) a
        where c.relnamespace::regnamespace::text in {schemas} and a.is_grantable
          and a.grantee <> c.relowner""",
    "schema in which a caller may create": """
        select n.nspname || ' ' || r.rolname from pg_namespace n, pg_roles r
        where r.rolname in {callers} and n.nspname !~ '^pg_temp' and n.nspname <> 'public'
          and has_schema_privilege(r.oid, n.oid, 'CREATE')""",
    "table without a key": """
        select c.oid::regclass::text from pg_class c
        where c.relnamespace::regnamespace::text in {schemas} and c.relkind in ('r', 'p')
          and not exists (select from pg_index i where i.indrelid = c.oid and i.indisunique)""",
    "two equal indexes": """
        select min(i.indexrelid::regclass::text) from pg_index i join pg_class c on c.oid = i.indexrelid
        where c.relnamespace::regnamespace::text in {schemas}
        group by
          i.indrelid, i.indkey::text, i.indclass::text, c.relam, i.indisunique,
          coalesce(pg_get_expr(i.indpred, i.indrelid), ''), coalesce(pg_get_expr(i.indexprs, i.indrelid), ''),
          i.indoption::text
        having count(*) > 1""",
    "extension in an exposed schema": """
        select e.extname from pg_extension e
        where e.extnamespace::regnamespace::text in ('public', 'api')""",
    "table or materialized view that is exposed": """
        select c.oid::regclass::text from pg_class c
        where c.relnamespace = 'api'::regnamespace and c.relkind in ('r', 'p', 'm', 'f')""",
    "exposed column with a secret": """
        select c.oid::regclass || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace = 'api'::regnamespace and c.relkind = 'v'
          and a.attname ~ '(password|secret|token|hash|otp)'""",
    "role of a caller that passes row security": """
        select r.rolname from pg_roles r
        where r.rolname in {callers}
          and (r.rolsuper or r.rolbypassrls or r.rolcreatedb or r.rolcreaterole or r.rolcanlogin
            or r.rolreplication)""",
    "view that reads a table of accounts of the server": """
        select distinct d.refobjid::regclass::text
        from pg_depend d join pg_rewrite r on r.oid = d.objid join pg_class c on c.oid = r.ev_class
        where c.relnamespace = 'api'::regnamespace
          and d.refobjid in ('pg_authid'::regclass, 'pg_shadow'::regclass, 'pg_user_mapping'::regclass)""",
}
"""By description, queries that return the objects that violate it."""


@pytest.mark.parametrize("lint", LINTS)
def test_lint_finds_nothing(db: Connection, lint: str) -> None:
    query = LINTS[lint].replace("{schemas}", SCHEMAS).replace("{callers}", CALLERS)
    assert [name for (name,) in db.execute(query.encode())] == []


@pytest.mark.parametrize(
    ("lint", "defect"),
    [
        ("view of security definer without a barrier",
         "create view api.x as select id from app.partners; grant select on api.x to partner"),
        ("function of security definer with a mutable search_path",
         "create function app.x() returns int language sql security definer as 'select 1'"),
        ("function that everyone may execute",
         "create function app.x() returns int language sql as 'select 1'; grant execute on function app.x()"
         " to public"),
        ("table without row security", "create table app.x (id int primary key)"),
        ("policy that reads the caller for each row",
         "create policy x on app.brands for update to partner using (id = auth.current_user_id())"),
        ("two permissive policies of one role and command",
         "create policy x on app.partners for select to partner using (true)"),
        ("caller's role beyond reading and writing rows", "grant truncate on app.orders to admin"),
        ("schema in which a caller may create", "grant create on schema api to partner"),
        ("two equal indexes", "create index x on app.orders (created_at); create index y on app.orders"
         " (created_at)"),
        ("exposed column with a secret", "create view api.x as select password_hash from app.partners"),
    ],
)  # fmt: skip
def test_lint_finds_a_defect(db: Connection, lint: str, defect: str) -> None:
    query = LINTS[lint].replace("{schemas}", SCHEMAS).replace("{callers}", CALLERS).encode()
    db.execute(defect.encode())
    assert db.execute(query).fetchall() != []


def definer_functions(schema: str) -> list[str]:
    """The statements of docs/schema.sql that create functions of SECURITY DEFINER."""
    statements = re.finditer(
        r"^CREATE (?:FUNCTION|PROCEDURE) .*?\n    AS (\$\w*\$).*?\1;", schema, re.DOTALL | re.MULTILINE
    )
    return [s[0] for s in statements if "SECURITY DEFINER" in s[0].split("\n    AS $")[0]]


def pgspot(script: str, folder: Path) -> str:
    """What pgspot reports of these statements."""
    file = folder / "script.sql"
    file.write_text("set search_path to pg_catalog, pg_temp;\n" + script)
    command = [str(Path(sys.executable).with_name("pgspot")), str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_pgspot_finds_nothing_in_functions_of_security_definer_and_views(tmp_path: Path) -> None:
    schema = (paths.root() / "docs" / "schema.sql").read_text()
    functions = definer_functions(schema)
    views = re.findall(r"^CREATE (?:MATERIALIZED )?VIEW .*?;$", schema, re.DOTALL | re.MULTILINE)
    assert len(functions) > 100
    assert len(views) > 50
    found = pgspot("\n".join([*functions, *views]), tmp_path)
    assert "Errors: 0 Warnings: 0 Unknown: 0" in found, found[-2000:]


@pytest.mark.parametrize(
    "body",
    ["create function x() returns int language sql security definer as 'select count(*) from orders'",
     "create function x() returns int language sql security definer set search_path = app as 'select 1'"],
)  # fmt: skip
def test_pgspot_finds_an_unsafe_function(tmp_path: Path, body: str) -> None:
    assert "Errors: 0 Warnings: 0" not in pgspot(body + ";", tmp_path)
