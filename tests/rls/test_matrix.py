"""The matrix and the database agree completely, in both directions."""

from fnmatch import fnmatch

import psycopg
import pytest
from psycopg import sql

from tests.rls import matrix, visibility
from tests.support.context import Connection
from tests.support.rls_dataset import RlsDataset

VIEWS = {f"api.{name}": words for name, words in matrix.table(matrix.VIEWS).items()}
RELATIONS = VIEWS | matrix.table(matrix.TABLES)
FUNCTIONS = matrix.table(matrix.FUNCTIONS)
OURS = ["api", "app", "auth", "jobs"]
PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
PER_COLUMN = ["SELECT", "INSERT", "UPDATE", "REFERENCES"]


def relations(conn: Connection) -> list[str]:
    return [
        row[0]
        for row in conn.execute(
            "select format('%%I.%%I', n.nspname, c.relname) from pg_class c"
            " join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = any (%s) and c.relkind in ('r', 'p', 'v', 'm', 'f') order by 1",
            [OURS],
        )
    ]


def words_of(relation: str) -> dict[str, str]:
    """The row of the matrix for a relation; an exact name takes precedence over a pattern."""
    found = [words for pattern, words in RELATIONS.items() if fnmatch(relation, pattern)]
    return RELATIONS.get(relation) or (found[0] if found else {})


def test_the_matrix_names_every_relation_and_no_other(db: Connection) -> None:
    there = relations(db)
    assert [r for r in there if not words_of(r)] == []
    assert [p for p in RELATIONS if not any(fnmatch(r, p) for r in there)] == []


@pytest.mark.parametrize("role", matrix.ROLES)
def test_a_role_sees_the_rows_that_the_matrix_allows(
    conn: Connection, dataset: RlsDataset, role: str
) -> None:
    wrong = []
    for relation in relations(conn):
        word = words_of(relation)[role]
        for who, side in visibility.callers(dataset, role):
            got = visibility.seen(conn, relation, who)
            want = None if word == "-" else visibility.expected(conn, relation, word, who, side)
            if got != want:
                wrong.append(f"{relation}: {who.role} of {side.email}: {word}, but sees {got}, not {want}")
    assert wrong == []


def test_the_dataset_distinguishes_own_rows_from_others(conn: Connection, dataset: RlsDataset) -> None:
    # A word that allows all rows or none here would prove nothing.
    narrow = {"own", "region", "routed", "served", "tier", "active", "shown", "live", "trail", "contacts"}
    dull = []
    for relation, words in RELATIONS.items():
        for role, word in words.items():
            if word in narrow:
                for who, side in visibility.callers(dataset, role):
                    mine = visibility.expected(conn, relation, word, who, side)
                    whole = visibility.expected(conn, relation, "all", who, side)
                    if not mine or mine == whole:
                        dull.append((relation, role, len(mine)))
    assert dull == []


@pytest.mark.names_each
def test_select_and_writes_are_granted_as_in_the_matrix(db: Connection) -> None:
    rows = db.execute(
        """
        select format('%%I.%%I', n.nspname, c.relname), r.rolname, p.privilege
        from pg_class c join pg_namespace n on n.oid = c.relnamespace,
          pg_roles r, unnest(%s::text[]) as p (privilege)
        where n.nspname = any (%s) and c.relkind in ('r', 'p', 'v', 'm', 'f') and r.rolname = any (%s)
          and (has_table_privilege(r.oid, c.oid, p.privilege)
            or (p.privilege = any (%s) and has_any_column_privilege(r.oid, c.oid, p.privilege)))
        """,
        [PRIVILEGES, OURS, list(matrix.ROLES), PER_COLUMN],
    ).fetchall()
    granted = {(relation, role, privilege) for relation, role, privilege in rows}
    wanted = {
        (relation, role, "SELECT")
        for relation in relations(db)
        for role, word in words_of(relation).items()
        if word != "-"
    } | {
        (relation, role, privilege)
        for name, writes in matrix.WRITES.items()
        for relation in writes.relations(name)
        for role in writes.roles.split()
        for privilege in writes.privileges
    }
    assert granted == wanted


@pytest.mark.names_each
@pytest.mark.parametrize("privilege", ["INSERT", "UPDATE"])
def test_only_the_columns_in_the_matrix_are_written(db: Connection, privilege: str) -> None:
    rows = db.execute(
        """
        select c.oid::regclass::text, r.rolname, a.attname
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped, pg_roles r
        where n.nspname = any (%s) and r.rolname = any (%s)
          and has_column_privilege(r.oid, c.oid, a.attname, %s)
        """,
        [OURS, list(matrix.ROLES), privilege],
    ).fetchall()
    wanted = {
        (relation, role, column)
        for name, writes in matrix.WRITES.items()
        if privilege in writes.privileges
        for relation in writes.relations(name)
        for role in writes.roles.split()
        for column in writes.columns.split()
    }
    assert set(rows) == wanted


@pytest.mark.names_each
def test_columns_absent_from_the_matrix_are_granted_to_no_role(db: Connection) -> None:
    rows = db.execute(
        """
        select c.oid::regclass::text, r.rolname, a.attname
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped, pg_roles r
        where n.nspname = any (%s) and r.rolname = any (%s)
          and not has_table_privilege(r.oid, c.oid, 'SELECT')
          and has_any_column_privilege(r.oid, c.oid, 'SELECT')
          and has_column_privilege(r.oid, c.oid, a.attname, 'SELECT')
        """,
        [OURS, list(matrix.ROLES)],
    ).fetchall()
    readable = set(rows)
    wanted = {
        (relation, role, column)
        for (relation, roles), columns in matrix.COLUMNS.items()
        for role in roles.split()
        for column in columns.split()
    }
    assert readable == wanted


def test_no_role_reads_a_password_hash_or_a_secret(db: Connection) -> None:
    rows = db.execute(
        """
        select c.oid::regclass, a.attname, r.rolname
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0, pg_roles r
        where c.relnamespace::regnamespace::text = any (%s) and c.relkind in ('r', 'p', 'v', 'm')
          and (a.attname ~ 'password|secret|token' or (c.relname = 'messages' and a.attname = 'variables'))
          and r.rolname = any (%s)
          and has_column_privilege(r.oid, c.oid, a.attnum, 'SELECT')
        """,
        [OURS, [*matrix.ROLES, "authenticator"]],
    ).fetchall()
    assert rows == []


@pytest.mark.names_each
def test_only_the_functions_in_the_matrix_can_be_executed(db: Connection) -> None:
    rows = db.execute(
        """
        select distinct n.nspname || '.' || p.proname, r.rolname
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace, pg_roles r
        where n.nspname not in ('pg_catalog', 'information_schema') and r.rolname = any (%s)
          and has_function_privilege(r.oid, p.oid, 'EXECUTE')
          and (n.nspname = any (%s) or has_schema_privilege(r.oid, n.oid, 'USAGE'))
        """,
        [list(matrix.ROLES), OURS],
    ).fetchall()
    wanted = {(f, role) for f, words in FUNCTIONS.items() for role, word in words.items() if word == "yes"}
    assert set(rows) == wanted


def test_no_function_is_overloaded(db: Connection) -> None:
    # PostgREST chooses among overloads by argument names; the matrix names functions only.
    rows = db.execute(
        "select proname from pg_proc where pronamespace::regnamespace::text = any (%s)"
        " group by pronamespace, proname having count(*) > 1",
        [OURS],
    ).fetchall()
    assert rows == []


@pytest.mark.names_each
def test_schema_usage_is_granted_as_in_the_matrix_and_create_to_no_role(db: Connection) -> None:
    rows = db.execute(
        """
        select n.nspname, r.rolname, p.privilege
        from pg_namespace n, pg_roles r, unnest(array['USAGE', 'CREATE']) as p (privilege)
        where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and r.rolname = any (%s)
          and has_schema_privilege(r.oid, n.oid, p.privilege)
        """,
        [[*matrix.ROLES, "authenticator"]],
    ).fetchall()
    schemas = matrix.table(matrix.SCHEMAS)
    assert set(rows) == {
        (schema, role, "USAGE")
        for schema, words in schemas.items()
        for role, word in words.items()
        if word == "yes"
    }


def test_no_role_has_rights_on_a_sequence(db: Connection) -> None:
    rows = db.execute(
        "select c.oid::regclass, r.rolname from pg_class c, pg_roles r"
        " where c.relkind = 'S' and r.rolname = any (%s)"
        " and has_sequence_privilege(r.oid, c.oid, 'USAGE, SELECT, UPDATE')",
        [[*matrix.ROLES, "authenticator"]],
    ).fetchall()
    assert rows == []


def test_every_table_has_row_security_and_no_role_bypasses_it(db: Connection) -> None:
    naked = db.execute(
        "select oid::regclass::text from pg_class where relkind in ('r', 'p') and not relrowsecurity"
        " and relnamespace::regnamespace::text = any (%s)",
        [OURS],
    ).fetchall()
    assert naked == []
    mighty = db.execute(
        "select rolname from pg_roles where rolname = any (%s)"
        " and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)",
        [[*matrix.ROLES, "authenticator", "hub_owner", "hub_scheduler"]],
    ).fetchall()
    assert mighty == []
    owners = db.execute(
        "select distinct relowner::regrole::text from pg_class"
        " where relnamespace::regnamespace::text = any (%s)",
        [OURS],
    ).fetchall()
    assert owners == [("hub_owner",)]


def test_a_policy_names_its_roles(db: Connection) -> None:
    loose = db.execute("select tablename, policyname, roles from pg_policies where 'public' = any (roles)")
    assert loose.fetchall() == []
    writing = db.execute("select tablename, cmd, roles::text[] from pg_policies where cmd <> 'SELECT'")
    assert {(f"app.{table}", command, *roles) for table, command, roles in writing} == {
        (relation, command, writes.roles.split()[0])
        for name, writes in matrix.WRITES.items()
        for relation in writes.relations(name)[1:]
        for command in writes.privileges
    }


def test_role_memberships_are_exactly_the_intended_ones(db: Connection) -> None:
    rows = db.execute(
        "select m.member::regrole::text, m.roleid::regrole::text from pg_auth_members m"
        " where m.member::regrole::text = any (%s)",
        [[*matrix.ROLES, "authenticator"]],
    ).fetchall()
    assert set(rows) == {("superadmin", "admin")} | {
        ("authenticator", role) for role in [*matrix.TOKEN_ROLES, "monitor"]
    }
    login = db.execute(
        "select rolname, rolinherit from pg_roles where rolcanlogin and rolname = any (%s) order by 1",
        [[*matrix.ROLES, "authenticator"]],
    ).fetchall()
    assert login == [("authenticator", False), ("cache", False)]


def test_views_run_with_the_rights_of_their_caller(db: Connection) -> None:
    rows = db.execute(
        "select relname::text from pg_class where relnamespace = 'api'::regnamespace and relkind = 'v'"
        " and not coalesce(reloptions @> '{security_invoker=true}', false)"
    ).fetchall()
    # these filter by their caller themselves
    assert {row[0] for row in rows} == {
        "partner_statistics",
        "job_health",
        "overdue_invoices",
        "receivables",
        "receivables_by_age",
    }


_REFUSALS = (
    psycopg.errors.InsufficientPrivilege,
    # views that are not updatable are refused before privileges are checked
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.WrongObjectType,
    psycopg.errors.FeatureNotSupported,
)


@pytest.mark.parametrize("role", matrix.ROLES)
def test_no_role_writes_to_a_relation_that_the_matrix_does_not_name(
    conn: Connection, dataset: RlsDataset, role: str
) -> None:
    who, _ = visibility.callers(dataset, role)[0]
    named = {
        relation
        for name, writes in matrix.WRITES.items()
        for relation in writes.relations(name)
        if role in writes.roles.split()
    }
    for relation in relations(conn):
        if relation in named:
            continue  # test_write_matrix.py writes to each column of these
        column = conn.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
            " and not attisdropped and attgenerated = '' and attidentity = ''"
            " order by attname = 'id' limit 1",
            [relation],
        ).fetchall()[0][0]
        for statement in (
            "insert into {} default values",
            "update {} set {} = null",
            "delete from {}",
            "truncate {}",
        ):
            query = sql.SQL(statement).format(sql.SQL(relation), sql.Identifier(column))

            def write(query: sql.Composed = query) -> bool:
                conn.execute(query)
                return True

            try:
                assert visibility.attempt(conn, who, write) is None, query
            except _REFUSALS:
                continue


def test_a_partner_cannot_change_their_order_with_psql(conn: Connection, dataset: RlsDataset) -> None:
    order = dataset.west.orders["submitted"]["id"]
    for statement in (
        "update app.orders set status = 'COMPLETED' where id = %s",
        "update api.orders set status = 'COMPLETED' where id = %s",
        "update app.orders set grand_total = 0 where id = %s",
        "delete from app.order_items where order_id = %s",
        "select * from app.orders where id = %s for update",
        "insert into app.invoice_payments (invoice_id, partner_id, amount, paid_at)"
        " select invoice_id, partner_id, amount, paid_at from app.invoice_payments where invoice_id = %s",
    ):

        def operation(statement: str = statement) -> bool:
            conn.execute(statement, [order])
            return True

        assert visibility.attempt(conn, dataset.west.partner, operation) is None, statement
    assert visibility.seen(conn, "app.orders", dataset.west.partner)
