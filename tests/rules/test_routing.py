"""Who serves an order, and what he may answer."""

import pytest

from tests.world import (
    Caller,
    Connection,
    World,
    approve,
    call,
    items,
    make_world,
    new_id,
    refusal,
    serving,
    submit,
    value,
)


@pytest.fixture
def world(db: Connection) -> World:
    """Partners in Bandung; both sub-distributors in Jawa Barat above it."""
    return make_world(db)


def subdist(db: Connection, world: World, region: str) -> str:
    return new_id(
        db,
        "insert into app.sub_distributors (region_id, business_name, whatsapp_number)"
        " values (%s, 'CV Baru', '+62819')",
        world.regions[region],
    )


def route(db: Connection, world: World, partner: int = 0) -> str | None:
    found = submit(db, world.partners[partner], items(SKU_000=1))["routed_to_subdist_id"]
    return str(found) if found else None


def told(db: Connection, template: str) -> int:
    return int(value(db, "select count(*) from app.messages where template = %s", template))


def test_the_own_region_comes_before_the_one_above(db: Connection, world: World) -> None:
    assert route(db, world) in [s.sub for s in world.subdists]
    own = subdist(db, world, "bandung")
    assert route(db, world) == own


def test_the_nearest_region_above_comes_first_however_busy_its_people_are(
    db: Connection, world: World
) -> None:
    idle = subdist(db, world, "id")
    for _ in range(5):
        assert route(db, world) != idle
    db.execute("update app.sub_distributors set status = 'SUSPENDED' where id <> %s", [idle])
    assert route(db, world) == idle


def test_an_order_of_no_region_goes_to_headquarters(db: Connection, world: World) -> None:
    db.execute("update app.partners set region_id = null")
    assert route(db, world) is None
    assert told(db, "order_unrouted") == 2


def test_an_accepted_order_still_keeps_busy(db: Connection, world: World) -> None:
    order = submit(db, world.partners[0], items(SKU_000=1))
    call(db, serving(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    assert route(db, world) != order["routed_to_subdist_id"]


def test_closed_orders_keep_nobody_busy(db: Connection, world: World) -> None:
    order = submit(db, world.partners[0], items(SKU_000=1))
    first, other = order["routed_to_subdist_id"], route(db, world)
    call(db, world.partners[0], "cancel_order", order_id=order["id"])
    assert first != other
    assert route(db, world) == first


def test_a_suspended_one_is_passed_by(db: Connection, world: World) -> None:
    own = subdist(db, world, "bandung")
    db.execute("update app.sub_distributors set status = 'SUSPENDED' where id = %s", [own])
    assert route(db, world) in [s.sub for s in world.subdists]


def test_among_several_the_one_with_the_fewest_open_orders(db: Connection, world: World) -> None:
    first, second, third = (route(db, world) for _ in range(3))
    assert first != second
    assert third in (first, second)
    assert route(db, world) == ({first, second} - {third}).pop()


def test_a_region_elsewhere_serves_nobody(db: Connection, world: World) -> None:
    db.execute("update app.sub_distributors set status = 'SUSPENDED'")
    subdist(db, world, "papua")
    assert route(db, world) is None


def test_where_there_is_none_headquarters_is_told_at_once(db: Connection, world: World) -> None:
    db.execute("update app.sub_distributors set status = 'SUSPENDED'")
    assert route(db, world) is None
    assert told(db, "order_unrouted") == 2


def test_the_sub_distributor_is_told_once(db: Connection, world: World) -> None:
    route(db, world)
    assert told(db, "order_routed") == 1


@pytest.mark.parametrize(
    ("decision", "status"), [("ACCEPT", "PROCESSING"), ("PROGRESS", "SUBMITTED"), ("DECLINE", "SUBMITTED")]
)
def test_an_answer_restarts_the_clock(db: Connection, world: World, decision: str, status: str) -> None:
    order = submit(db, world.partners[0], items(SKU_000=1))
    who = serving(db, order)
    db.execute("update app.orders set routed_at = now() - interval '20 hours' where id = %s", [order["id"]])
    db.execute("update app.orders set sla_reminder_sent = true where id = %s", [order["id"]])
    answered = call(db, who, "respond_order", order_id=order["id"], decision=decision, note="baik")
    assert answered["status"] == status
    assert answered["last_response_at"] is not None
    assert answered["sla_reminder_sent"] is False
    assert (answered["routed_to_subdist_id"] is None) == (decision == "DECLINE")
    assert told(db, "order_unrouted") == (2 if decision == "DECLINE" else 0)


def test_only_the_one_it_is_routed_to_may_answer(db: Connection, world: World) -> None:
    order = submit(db, world.partners[0], items(SKU_000=1))
    other = next(s for s in world.subdists if s.sub != order["routed_to_subdist_id"])
    assert refusal(db, other, "respond_order", order_id=order["id"], decision="ACCEPT") == "NOT_FOUND"


def test_accepting_twice_does_no_harm(db: Connection, world: World) -> None:
    order = submit(db, world.partners[0], items(SKU_000=1))
    for _ in range(2):
        answered = call(db, serving(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    assert answered["status"] == "PROCESSING"


@pytest.mark.parametrize("decision", ["ACCEPT", "PROGRESS", "DECLINE"])
@pytest.mark.parametrize("end", ["cancelled", "approved"])
def test_an_order_that_waits_for_no_answer_takes_none(
    db: Connection, world: World, end: str, decision: str
) -> None:
    order = submit(db, world.partners[0], items(SKU_000=1))
    who = serving(db, order)
    if end == "approved":
        approve(db, world, order)
    else:
        call(db, world.partners[0], "cancel_order", order_id=order["id"])
    code = refusal(db, who, "respond_order", order_id=order["id"], decision=decision)
    assert code == "ILLEGAL_TRANSITION"


def test_an_unknown_decision_is_refused(db: Connection, world: World) -> None:
    order = submit(db, world.partners[0], items(SKU_000=1))
    code = refusal(db, serving(db, order), "respond_order", order_id=order["id"], decision="MAYBE")
    assert code == "INVALID_ARGUMENT"


def test_rerouting_tells_both_and_restarts_the_clock(db: Connection, world: World) -> None:
    order = submit(db, world.partners[0], items(SKU_000=1))
    other = next(s for s in world.subdists if s.sub != order["routed_to_subdist_id"])
    db.execute("update app.orders set routed_at = now() - interval '20 hours' where id = %s", [order["id"]])
    moved = call(db, world.admin, "reroute_order", order_id=order["id"], subdist_id=other.sub)
    assert moved["routed_to_subdist_id"] == other.sub
    assert value(db, "select routed_at = now() from app.orders where id = %s", order["id"])
    assert (told(db, "order_routed"), told(db, "order_withdrawn")) == (2, 1)


def test_rerouting_to_a_suspended_or_unknown_one_is_refused(db: Connection, world: World) -> None:
    order = submit(db, world.partners[0], items(SKU_000=1))
    new = subdist(db, world, "papua")
    db.execute("update app.sub_distributors set status = 'SUSPENDED' where id = %s", [new])
    reroute = {"order_id": order["id"]}
    assert refusal(db, world.admin, "reroute_order", **reroute, subdist_id=new) == "SUBDIST_UNAVAILABLE"
    assert refusal(db, world.admin, "reroute_order", **reroute, subdist_id=order["id"]) == "NOT_FOUND"


def test_an_over_limit_order_waits_for_its_release(db: Connection, world: World) -> None:
    who = world.partners[0]
    db.execute("update app.partners set credit_limit = 100000 where id = %s", [who.sub])
    order = submit(db, who, items(SKU_000=2))
    assert (order["is_over_limit"], order["routed_to_subdist_id"]) == (True, None)
    assert told(db, "order_over_limit") == 2
    held = {"order_id": order["id"]}
    assert refusal(db, world.admin, "approve_order", **held) == "ILLEGAL_TRANSITION"
    other = world.subdists[0].sub
    assert refusal(db, world.admin, "reroute_order", **held, subdist_id=other) == "NOT_ROUTABLE"
    assert refusal(db, world.admin, "release_order", **held, reason=" ") == "INVALID_ARGUMENT"
    released = call(db, world.admin, "release_order", **held, reason="pelanggan lama")
    assert released["routed_to_subdist_id"] is not None
    assert refusal(db, world.admin, "release_order", **held, reason="lagi") == "NOT_RELEASABLE"


def test_a_region_cannot_be_its_own_ancestor(db: Connection, world: World) -> None:
    with pytest.raises(Exception, match="INVALID_REGION"), db.transaction():
        db.execute(
            "update app.regions set parent_region_id = %s where id = %s",
            [world.regions["bandung"], world.regions["id"]],
        )


def test_nobody_else_may_answer_for_him(db: Connection, world: World) -> None:
    order = submit(db, world.partners[0], items(SKU_000=1))
    liar = Caller("subdist", world.partners[0].sub)
    with pytest.raises(Exception, match="ACCOUNT_INACTIVE"):
        call(db, liar, "respond_order", order_id=order["id"], decision="ACCEPT")
