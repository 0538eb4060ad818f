"""The history of the configuration is for superadmins only, wherever it could be read."""

import pytest

from tests.support.client import caller
from tests.support.context import Connection, Context, set_config, value
from tests.support.factories import make_agent

CHANGES = "select count(*) from api.audit_logs where target_type = 'system_configs'"


@pytest.mark.parametrize(("role", "sees"), [("admin", False), ("superadmin", True)])
def test_trail_shows_changes_of_configs_to_superadmins_only(
    db: Connection, context: Context, role: str, sees: bool
) -> None:
    set_config(db, context, "order.max_lines", 77)
    db.execute("select app.flush_audit_buffer()")
    who = make_agent(db, None, role=role.upper())
    with caller(db, role, who.sub):
        assert (value(db, CHANGES) > 0) is sees
        assert value(db, "select count(*) from api.audit_logs") > 0
        found = value(db, "select count(*) from api.audit_logs where new_value::text like '%77%version%'")
        assert (found > 0) is sees


def test_consistency_check_does_not_show_earlier_values_to_admins(db: Connection, context: Context) -> None:
    set_config(db, context, "order.max_lines", 77)
    db.execute("set local session_replication_role = replica")
    db.execute("update app.system_configs set config_value = '55' where config_key = 'order.max_lines'")
    db.execute("set local session_replication_role = default")
    with caller(db, "admin", context.admin.sub):
        details = value(db, "select string_agg(details, ' ') from app.check_consistency('configs')")
    assert "order.max_lines is 55" in details
    assert "77" not in details
