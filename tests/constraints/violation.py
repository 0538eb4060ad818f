"""Statements that violate a constraint of a table."""

import psycopg

from tests.support.context import Connection


def violation(conn: Connection, statement: str) -> psycopg.errors.Diagnostic:
    """The diagnostics of the violated constraint; fails if the statement succeeds or matches no row."""
    try:
        with conn.transaction():
            row_count = conn.execute(statement.encode()).rowcount
    except psycopg.errors.IntegrityError as error:
        return error.diag
    raise AssertionError("the statement succeeded" if row_count else "the statement matches no row")
