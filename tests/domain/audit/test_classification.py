"""Every column that can hold personal data has a class, in its COMMENT: `[pii: contact]`.

contact    e-mail addresses, numbers, ids of the provider that contain one
name       names of people and businesses
address    addresses, also of computers and devices
payment    methods and references of payments
text       free text
key        what a caller chose as a key, and hashes of texts
secret     hashes of passwords, tokens and keys
content    a whole message or row
masked     values that are masked when they are stored
none       no personal data
"""

import re

import pytest

from hub import paths
from tests.support.context import Connection, value

KINDS = {"contact", "name", "address", "payment", "text", "key", "secret", "content", "masked", "none"}
MASKED_AS_A_WHOLE = {"text", "key", "secret"}
PERSONS = ["app.partners", "app.agents", "app.sub_distributors"]

ERASED_OTHERWISE = {
    "app.audit_buffer": "app.erase_trail",
    "app.audit_logs": "app.erase_trail",
    "app.conversations": "app.erase_webhooks",
    "app.erp_quarantine": "app.erase_quarantine",
    "app.idempotency_keys": "app.erase_rows",
    "app.inbound_messages": "app.erase_webhooks",
    "app.messages": "app.erase_messages",
    "app.partner_former_contacts": "app.erase_account",
    "app.partners": "app.erase_account",
    "app.sla_escalation_logs": "app.erase_rows",
    "auth.login_attempts": "app.erase_account",
    "auth.password_codes": "app.erase_account",
    "auth.refresh_tokens": "app.erase_account",
    "auth.sessions": "app.erase_account",
}
"""Tables whose rows app.erase_rows does not find by partner_id, and what erases a partner's part."""

CASCADED = {"auth.refresh_tokens": "auth.sessions"}
"""Tables whose rows go with those of another one."""

NOT_OF_PARTNERS = {
    "app.agents", "app.sub_distributors", "auth.jwt_secret", "auth.sign_in_links",
    # the address of the agent who acted
    "app.agent_sessions",
}  # fmt: skip
"""Tables whose personal data is of those who work for the distributor, or of no one."""

COLUMNS = """
select
  n.nspname || '.' || c.relname, a.attname::text,
  coalesce(
    substring(col_description(c.oid, a.attnum) from '\\[pii: ([^]]*)\\]'),
    substring(obj_description(c.oid, 'pg_class') from '\\[pii: (none)\\]')
  )
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type as t on t.oid = a.atttypid
where n.nspname in ('app', 'auth', 'jobs') and c.relkind in ('r', 'p') and not c.relispartition
  and (
    n.nspname || '.' || c.relname = any (%s) or t.typcategory = 'A' or t.typtype = 'c'
    or case t.typtype when 'd' then t.typbasetype else t.oid end in (
      'text'::regtype, 'varchar'::regtype, 'json'::regtype, 'jsonb'::regtype, 'bytea'::regtype,
      'name'::regtype, 'inet'::regtype
    )
  )
"""


def classes(conn: Connection) -> dict[str, dict[str, str | None]]:
    """The class of each column that can hold text, by table."""
    found: dict[str, dict[str, str | None]] = {}
    for table, column, kind in conn.execute(COLUMNS, [PERSONS]):
        found.setdefault(table, {})[column] = kind
    return found


def places(conn: Connection) -> dict[str, set[str]]:
    """Where personal data of partners is stored: columns by table."""
    found = {
        table: {column for column, kind in columns.items() if kind not in ("none", None)}
        for table, columns in classes(conn).items()
    }
    return {table: columns for table, columns in found.items() if columns and table not in NOT_OF_PARTNERS}


def not_erased(conn: Connection) -> list[str]:
    """The places that an erasure does not reach."""
    by_column = {
        table
        for (table,) in conn.execute(
            "select attrelid::regclass::text from pg_attribute as a join pg_class as c on c.oid = a.attrelid"
            " where a.attname = 'partner_id' and c.relnamespace = 'app'::regnamespace"
            " and app.personal_columns(c.relname) is not null"
        )
    }
    return sorted(set(places(conn)) - by_column - set(ERASED_OTHERWISE))


def unclassified(conn: Connection) -> list[str]:
    return sorted(
        f"{table}.{column}: {kind}"
        for table, columns in classes(conn).items()
        for column, kind in columns.items()
        if kind not in KINDS
    )


def test_every_column_that_can_hold_personal_data_has_a_class(db: Connection) -> None:
    assert unclassified(db) == []


@pytest.mark.parametrize(
    ("table", "column"),
    [("partners", "tax_number varchar(20)"), ("partners", "birth_date date"), ("orders", "remark text"),
     ("order_items", "engraving varchar(50)"), ("agents", "photo bytea")],
)  # fmt: skip
def test_new_column_without_a_class_is_reported(db: Connection, table: str, column: str) -> None:
    db.execute(f"alter table app.{table} add column {column}".encode())
    assert unclassified(db) == [f"app.{table}.{column.split(maxsplit=1)[0]}: None"]


def test_trail_and_erasures_follow_the_classes(db: Connection) -> None:
    for table, columns in classes(db).items():
        schema, name = table.split(".")
        personal = {column for column, kind in columns.items() if kind not in ("none", None)}
        listed = set(value(db, "select app.personal_columns(%s)", name) or []) if schema == "app" else set()
        if listed:
            assert personal == listed, table
    assert not_erased(db) == []
    for table, function in ERASED_OTHERWISE.items():
        source = value(db, "select prosrc from pg_proc where oid = %s::regproc", function)
        assert CASCADED.get(table, table) in source, table


def test_trail_masks_each_column_by_its_class(db: Connection) -> None:
    for table, columns in classes(db).items():
        name = table.removeprefix("app.")
        for column in value(db, "select app.personal_columns(%s)", name) or []:
            masked = value(
                db, "select app.mask_row(%s, jsonb_build_object(%s::text, 'Rahasia-Besar')) ->> %s",
                name, column, column,
            )  # fmt: skip
            expected = "***" if columns[column] in MASKED_AS_A_WHOLE else "Ra*********ar"
            assert masked == expected, f"{table}.{column}"


def test_documentation_lists_the_classes() -> None:
    text = (paths.root() / "docs" / "operations" / "data-protection.md").read_text()
    assert set(re.findall(r"^\| `\[pii: (\w+)\]` \|", text, re.MULTILINE)) == KINDS
