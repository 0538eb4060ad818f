"""Orders: what went wrong in other systems, and in this one before it was tested so."""

from tests.support.context import Connection, broken_invariants, call, items, make_context


def test_a_draft_is_rejected_without_a_server_error(db: Connection) -> None:
    """Found here by a random walk: the state machine allowed it, a constraint did not: a 500."""
    context = make_context(db)
    draft = call(db, context.partners[0], "save_draft", items=items(SKU_000=1))
    rejected = call(db, context.admin, "reject_order", order_id=draft["id"], reason="stale")
    assert rejected["status"] == "REJECTED"
    assert broken_invariants(db) == {}
