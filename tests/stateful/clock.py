"""Moving time forward without touching the clock: every timestamp in the database moves back."""

from datetime import timedelta

from psycopg import sql

from tests.support.context import Connection

_COLUMNS = """
select c.oid::regclass::text, array_agg(a.attname::text order by a.attnum)
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace in ('app'::regnamespace, 'auth'::regnamespace) and c.relkind = 'r'
  and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.atttypid = 'timestamptz'::regtype
  and a.attname not in ('created_at', 'updated_at') and c.relname not like 'audit%'
group by c.oid order by c.oid::regclass::text
"""


def grow_older(conn: Connection, hours: float) -> None:
    """Shift every timestamp that rules read back by so many hours.

    created_at, updated_at and the audit trail stay: ids encode that time too, and no rule reads it.
    """
    age = sql.Literal(timedelta(hours=hours))
    with conn.transaction():
        tables = conn.execute(_COLUMNS).fetchall()
        conn.execute("set local session_replication_role = replica")
        for table, columns in tables:
            shifts = sql.SQL(", ").join(
                sql.SQL("{0} = {0} - {1}").format(sql.Identifier(name), age) for name in columns
            )
            conn.execute(sql.SQL("update {} set {}").format(sql.SQL(table), shifts))
