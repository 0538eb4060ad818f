"""The tree of regions has no cycles, whatever one statement changes."""

import psycopg
import pytest

from tests.support.calls import refused, write
from tests.support.context import Connection, Context, value


def test_region_is_not_its_own_ancestor(db: Connection, context: Context) -> None:
    regions = context.regions
    for child, parent in (("id", "bandung"), ("jabar", "bandung")):
        with refused(db, "INVALID_REGION"):
            write(
                db,
                context.admin,
                "update api.regions set parent_region_id = %s where id = %s",
                regions[parent],
                regions[child],
            )


def test_one_update_cannot_close_a_cycle_of_regions(db: Connection, context: Context) -> None:
    with refused(db, "INVALID_REGION"):
        write(
            db,
            context.admin,
            "update api.regions set parent_region_id ="
            " case code when 'W-PAPUA' then %s::uuid else %s::uuid end where code in ('W-PAPUA', 'W-ID')",
            context.regions["bandung"],
            context.regions["papua"],
        )


def test_one_insert_cannot_close_a_cycle_of_regions(db: Connection, context: Context) -> None:
    with refused(db, "INVALID_REGION"):
        write(
            db,
            context.admin,
            "insert into api.regions (id, name, code, parent_region_id) values"
            " ('0190aa00-0000-7000-8000-0000000000a1', 'A', 'A', '0190aa00-0000-7000-8000-0000000000a2'),"
            " ('0190aa00-0000-7000-8000-0000000000a2', 'B', 'B', '0190aa00-0000-7000-8000-0000000000a1')",
        )


def test_one_update_may_turn_a_branch_around(db: Connection, context: Context) -> None:
    # bandung below jabar becomes jabar below bandung: valid after the statement, not between its rows
    changed = write(
        db,
        context.admin,
        "update api.regions set parent_region_id = case code when 'W-BANDUNG' then %s::uuid else %s::uuid end"
        " where code in ('W-BANDUNG', 'W-JABAR')",
        context.regions["id"],
        context.regions["bandung"],
    )
    assert changed == 2


def test_region_that_is_referred_to_is_not_deleted(db: Connection, context: Context) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation), db.transaction():
        write(db, context.admin, "delete from api.regions where id = %s", context.regions["jabar"])


def test_the_id_of_a_region_is_never_changed(db: Connection, context: Context) -> None:
    with refused(db, "NOT_ALLOWED"):
        write(
            db,
            context.admin,
            "update api.regions set id = gen_random_uuid() where id = %s",
            context.regions["papua"],
        )
    assert value(db, "select count(*) from app.regions where id = %s", context.regions["papua"]) == 1
