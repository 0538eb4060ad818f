"""Every table has a class that says why it does not grow without bound, or why it may.

history    business history, kept for ever: docs/operations/data-protection.md names it
purged     a job deletes old rows in batches, oldest first, by this index
queue      work that waits; the job or call that does it removes the row
bounded    as many rows as there are master data, configs, accounts, months or jobs
"""

from typing import Any

import psycopg
import pytest

from hub import paths

Db = psycopg.Connection[Any]

DATA_PROTECTION = paths.root() / "docs" / "operations" / "data-protection.md"

HISTORY = [
    "app.orders",
    "app.order_items",
    "app.order_events",
    "app.invoices",
    "app.invoice_payments",
    "app.credit_notes",
    "app.credit_note_items",
    "app.invoice_credits",
    "app.point_transactions",
    "app.redemptions",
    "app.idempotency_keys",
    "app.sla_escalation_logs",
    "app.task_escalations",
    "app.erp_cancellations",
    "app.agent_sessions",
    "app.impersonation_notifications",
    "app.inbound_messages",
    "app.inbound_events",
    "app.purged_provider_ids",
    "app.system_config_history",
    "app.partner_removals",
]

PURGED = {
    "app.messages": ("retention", "app.purge_messages", "app.messages_created_idx"),
    "auth.sessions": ("retention", "auth.purge_sessions", "auth.sessions_ended_idx"),
    # with their session
    "auth.refresh_tokens": ("retention", "auth.purge_sessions", "auth.refresh_tokens_session_idx"),
    "auth.login_attempts": ("session-purge", "auth.purge_sign_ins", "auth.login_attempts_window_idx"),
    "auth.sign_in_links": ("session-purge", "auth.purge_sign_ins", "auth.sign_in_links_expires_idx"),
    "auth.password_codes": ("session-purge", "auth.purge_sign_ins", "auth.password_codes_expires_idx"),
    "app.conversations": ("session-purge", "auth.purge_sign_ins", "app.conversations_last_inbound_idx"),
    "app.partner_former_contacts": (
        "retention",
        "app.purge_former_contacts",
        "app.partner_former_contacts_replaced_idx",
    ),
    # whole partitions
    "app.audit_logs": ("retention", "app.drop_audit_partitions", "app.idx_audit_created"),
}

QUEUE = {
    "app.audit_buffer": "app.flush_audit_buffer",
    "app.point_queue": "app.vest_invoices",
    "app.unbilled_orders": "app.tg_invoices__derive_unbilled",
    "app.erp_quarantine": "app.erp_apply_products",
    "app.cache_changes": "app.tg_cache_changes__raise_versions",
}

BOUNDED = [
    "app.regions",
    "app.brands",
    "app.categories",
    "app.products",
    "app.inventory",
    "app.tier_prices",
    "app.redemption_catalog",
    "app.partners",
    "app.agents",
    "app.sub_distributors",
    "app.system_configs",
    "app.order_rules",
    "app.erp_streams",
    "app.messages_period",
    "app.statistics_period",
    "app.partner_counted_months",
    "app.region_late_months",
    "app.cache_versions",
    "app.catalogue_bodies",
    "auth.jwt_secret",
    "jobs.schedule",
    "jobs.runs",
]


def tables(db: Db) -> set[str]:
    return {
        name
        for (name,) in db.execute(
            "select c.oid::regclass::text from pg_class c"
            " where c.relnamespace::regnamespace::text in ('app', 'auth', 'jobs')"
            " and c.relkind in ('r', 'p') and not c.relispartition"
        )
    }


def test_every_table_has_one_class(db: Db) -> None:
    classes = [HISTORY, [*PURGED], [*QUEUE], BOUNDED]
    assert sorted(name for names in classes for name in names) == sorted(tables(db)), (
        "say in this file what keeps a new table from growing without bound"
    )


@pytest.mark.parametrize("table", PURGED)
def test_purged_table_has_its_job_its_function_and_its_index(db: Db, table: str) -> None:
    job, function, index = PURGED[table]
    command = db.execute("select command from jobs.schedule where job = %s", [job]).fetchall()
    assert command
    assert db.execute(
        "select from pg_index where indexrelid = %s::regclass and indrelid = %s::regclass and indisvalid",
        [index, table],
    ).fetchall(), "no such index on this table"
    assert db.execute("select from pg_proc where oid = %s::regproc", [function]).fetchall()


@pytest.mark.parametrize("table", QUEUE)
def test_queue_is_emptied_by_its_function(db: Db, table: str) -> None:
    [(source,)] = db.execute("select prosrc from pg_proc where oid = %s::regproc", [QUEUE[table]]).fetchall()
    assert f"delete from {table}" in source


def test_documentation_names_what_is_kept_for_ever() -> None:
    page = DATA_PROTECTION.read_text()
    section = page[page.index("## What is kept for ever") :].split("\n## ")[0]
    assert sorted(name for name in HISTORY if f"`{name}`" not in section) == []
