"""Statements that a table must refuse."""

import psycopg

from tests.support.context import Connection


def refused(conn: Connection, statement: str) -> psycopg.errors.Diagnostic:
    """The diagnostics of the refusal; fails if the statement succeeds or matches no row."""
    try:
        with conn.transaction():
            met = conn.execute(statement.encode()).rowcount
    except psycopg.errors.IntegrityError as error:
        return error.diag
    raise AssertionError("it was not refused" if met else "there is no row to try it on")
