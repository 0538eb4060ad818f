"""Accounts of the demo data that still have its published password."""

from typing import Any

import psycopg

from hub.errors import UserError
from hub.seed import dataset

_ACCOUNTS = """
with accounts as (
  select p.id, p.password_hash from app.partners as p where p.id = any (%(ids)s) and p.is_active
  union all
  select a.id, a.password_hash from app.agents as a where a.id = any (%(ids)s) and a.is_active
),
hashes as materialized (select distinct a.password_hash from accounts as a)
select count(*)
from accounts as a
where a.password_hash in (
  select h.password_hash from hashes as h where auth.password_matches(%(password)s, h.password_hash)
)
"""


def count(conn: psycopg.Connection[Any]) -> int:
    """How many active accounts of the demo data have the password that its documentation publishes."""
    ids = [row[0] for row in (*dataset.agent_rows("x"), *dataset.partner_rows("x"))]
    return int(conn.execute(_ACCOUNTS, {"ids": ids, "password": dataset.PASSWORD}).fetchall()[0][0])


def refuse(url: str) -> None:
    """Raise UserError if a migrated database has accounts with the demo's password."""
    with psycopg.connect(url, connect_timeout=10, application_name="hub") as conn:
        found = count(conn)
    if found:
        raise UserError(
            f"{found} accounts have the published password of the demo data",
            hint="deactivate them or reset their passwords; for demonstrations only, set HUB_DEMO=1",
        )
