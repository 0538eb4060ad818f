"""Trying what the table has to refuse."""

import psycopg

from tests.support.context import Connection


def refused(conn: Connection, statement: str) -> psycopg.errors.Diagnostic:
    """Why the database refuses the statement; fails where it does not, or where it met no row."""
    try:
        with conn.transaction():
            met = conn.execute(statement.encode()).rowcount
    except psycopg.errors.IntegrityError as error:
        return error.diag
    raise AssertionError("it was not refused" if met else "there is no row to try it on")
