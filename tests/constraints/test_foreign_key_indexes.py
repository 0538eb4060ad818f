"""Foreign keys that a join or a delete uses have an index."""

from typing import Any

import psycopg
from psycopg import sql

Db = psycopg.Connection[Any]

# Foreign keys without an index, each with the reason.
WITHOUT_INDEX = {
    # Agents are deactivated, never deleted, and no list asks what one of them has done.
    "app.credit_notes.credit_notes_created_by_fkey",
    "app.invoice_payments.invoice_payments_recorded_by_fkey",
    "app.invoices.invoices_created_by_fkey",
    "app.partner_removals.partner_removals_agent_id_fkey",
    "app.orders.orders_released_by_fkey",
    "app.point_transactions.point_transactions_created_by_fkey",
    "app.sla_escalation_logs.sla_escalation_logs_acknowledged_by_fkey",
    "app.system_configs.system_configs_updated_by_fkey",
    # Products are withdrawn, not deleted, and this index would cost each order five entries at
    # random places: the dearest of all indexes of an order.
    "app.order_items.order_items_product_id_fkey",
}

# An index serves a foreign key if its first columns are those of the key, in any order, and it
# holds every row in which they are not null.
UNINDEXED = """
select c.conrelid::regclass || '.' || c.conname
from pg_constraint as c
where c.contype = 'f' and c.connamespace in ('app'::regnamespace, 'auth'::regnamespace)
  and c.conparentid = 0
  and not exists (
    select from pg_index as i
    where i.indrelid = c.conrelid and i.indisvalid
      and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
      and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) = (
        select '(' || a.attname || ' IS NOT NULL)' from pg_attribute as a
        where a.attrelid = c.conrelid and a.attnum = c.conkey[1]
      ))
  )
  -- the first column alone selects as few rows where it is the key of the parent
  and not exists (
    select from pg_index as i
    where i.indrelid = c.conrelid and i.indpred is null and i.indkey[0] = c.conkey[1]
      and cardinality(c.conkey) > 1
  )
"""


def unindexed(db: Db) -> set[str]:
    return {str(row[0]) for row in db.execute(UNINDEXED)}


def test_foreign_keys_have_an_index(db: Db) -> None:
    assert unindexed(db) == WITHOUT_INDEX


def test_a_foreign_key_without_an_index_is_reported(db: Db) -> None:
    with db.transaction(force_rollback=True):
        for index in ("redemptions_reward_idx", "messages_order_idx"):
            db.execute(sql.SQL("drop index app.{}").format(sql.Identifier(index)))
        assert unindexed(db) - WITHOUT_INDEX == {
            "app.redemptions.redemptions_catalog_item_id_fkey",
            "app.messages.messages_order_id_fkey",
        }
