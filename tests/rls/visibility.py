"""The rows of a relation that a role sees, and those that it should see: both as sets of keys."""

import uuid
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from tests.support.context import Caller, Connection
from tests.support.rls_dataset import RlsDataset, Side

_NATURAL_KEYS = (
    "partner_id",
    "month",
    "product_id",
    "config_key",
    "version",
    "job",
    "invariant",
    "subject_id",
)

_LIVE = "deleted_at is null"
_TAKEN = "select catalog_item_id from app.redemptions where partner_id = %(me)s"
_ROUTED = "select {} from app.orders where routed_to_subdist_id = %(me)s"
_IN_REGION = f"select id from app.partners where region_id = any (%(regions)s) and {_LIVE}"

# Word: relation: condition. "" applies to every relation without its own line.
RULES = {
    "none": {"": "false"},
    "all": {"": "true"},
    "live": {"partners": f"id in (select id from app.partners where {_LIVE})"},
    "self": {"": "id = %(me)s"},
    "own": {"": "partner_id = %(me)s"},
    "region": {
        "": f"partner_id in ({_IN_REGION})",
        "partners": f"id in ({_IN_REGION})",
        "sla_escalation_logs": f"order_id in (select id from app.orders where partner_id in ({_IN_REGION}))",
    },
    "trail": {"audit_logs": "target_type <> 'system_configs'"},
    "contacts": {
        "": "id in (select id from app.sub_distributors where region_id = any (%(regions)s)"
        " union all"
        " select id from app.agents where role = 'SALESMAN' and region_id = any (%(regions)s))"
    },
    "served": {"sub_distributors": "region_id = any (%(regions)s)"},
    "routed": {
        "": f"order_id in ({_ROUTED.format('id')})",
        "credit_note_items": (
            f"order_item_id in (select id from app.order_items where order_id in ({_ROUTED.format('id')}))"
        ),
        "orders": "routed_to_subdist_id = %(me)s",
        "partners": f"id in ({_ROUTED.format('partner_id')}) and {_LIVE}",
        "delivery_contacts": (
            f"id in ({_ROUTED.format('partner_id')}) and id in (select id from app.partners where {_LIVE})"
        ),
    },
    "shown": {"redemption_catalog": f"is_active or id in ({_TAKEN})"},
    "tier": {"tier_prices": "tier = (select tier from app.partners where id = %(me)s)"},
}

# Views that filter by their caller: a superuser reads another relation instead.
_ASK_INSTEAD = {
    "api.partner_statistics": (
        "(select partner_id || ':' || month as id, * from app.partner_monthly_statistics)"
    ),
    "api.my_contacts": "(select id from app.sub_distributors union all select id from app.agents)",
    "api.me": "(select %(me)s::uuid as id)",
}


def keys(conn: Connection, relation: str) -> sql.Composed:
    """The columns that identify a row, as one text."""
    names = [
        str(row[0])
        for row in conn.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0", [relation]
        )
    ]
    wanted = ["id"] if "id" in names else [n for n in _NATURAL_KEYS if n in names]
    columns = [sql.Identifier(n) for n in wanted or names]
    return sql.SQL("concat_ws('|', {})").format(sql.SQL(", ").join(columns))


def expected(conn: Connection, relation: str, word: str, who: Caller, side: Side) -> set[str]:
    """The keys that the word allows, read as a superuser."""
    rules = RULES[word]
    name = relation.split(".")[1]
    rows = conn.execute(
        sql.SQL("select {} from {} as r where {}").format(
            keys(conn, relation),
            sql.SQL(_ASK_INSTEAD.get(relation, relation)),
            sql.SQL(rules.get(name, rules.get("", "")) or f"no rule {word} for {relation}"),
        ),
        {"me": who.sub, "regions": side.regions},
    )
    return {str(row[0]) for row in rows}


def seen(conn: Connection, relation: str, who: Caller) -> set[str] | None:
    """The keys that the caller reads with psql, without the request guard; None: permission denied."""
    got: set[str] | None = attempt(
        conn,
        who,
        lambda: {
            str(row[0])
            for row in conn.execute(
                sql.SQL("select {} from {}").format(keys(conn, relation), sql.SQL(relation))
            )
        },
    )
    return got


def attempt(conn: Connection, who: Caller, operation: Callable[[], Any]) -> Any:
    """The result of an operation as this caller, None if permission is denied; rolled back."""
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(
                "select set_config('request.jwt.claims', %s, true), set_config('role', %s, true)",
                [who.claims, who.role],
            )
            return operation()
    except psycopg.errors.InsufficientPrivilege:
        return None


def callers(dataset: RlsDataset, role: str) -> list[tuple[Caller, Side]]:
    """Every caller of this role, each with their side of the dataset."""
    each = {
        "anon": [Caller("anon"), Caller("anon")],
        "partner": [side.partner for side in dataset.sides],
        "agent": [side.agent for side in dataset.sides],
        "subdist": [side.subdist for side in dataset.sides],
        "admin": [dataset.admin] * 2,
        "superadmin": [dataset.superadmin] * 2,
        "erp": [dataset.erp] * 2,
        "messenger": [dataset.messenger] * 2,
        "cache": [Caller("cache")] * 2,
        "monitor": [Caller("monitor", str(uuid.uuid4()))] * 2,
    }
    return list(zip(each[role], dataset.sides, strict=True))
