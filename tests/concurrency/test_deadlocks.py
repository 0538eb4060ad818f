"""Thousands of orders of the same products in opposite order never deadlock, while other calls run."""

import json
import threading
import time

import pytest
from psycopg import sql

from tests.support.concurrency import assert_invariants, connect
from tests.support.context import Connection, RefusedError, call, line, make_context, value
from tests.support.queries import run_job

BUYERS = 8

# The orders of one buyer, each committed: lines in changing order, and every tenth order is cancelled.
_PLACE_ORDERS = """
do $$
declare
  v_order api.orders;
  v_items jsonb[] := array[
    {ascending}, {descending}, {mixed}
  ]::jsonb[];
begin
  for i in 1..{orders} loop
    perform set_config('request.jwt.claims', {claims}, true), set_config('role', 'partner', true);
    v_order := api.submit_order(v_items[1 + i % 3], 0, null, 'k' || i);
    commit;
    if i % 10 = 0 then
      perform set_config('request.jwt.claims', {claims}, true), set_config('role', 'partner', true);
      v_order := api.cancel_order(v_order.id);
      commit;
    end if;
  end loop;
end $$
"""


def _order_lines(*products: int) -> sql.Literal:
    return sql.Literal(json.dumps([line(f"SKU-00{i}", 1) for i in products]))


def _deadlock_count(conn: Connection) -> int:
    conn.execute("select pg_stat_force_next_flush()")
    count: int = value(conn, "select deadlocks from pg_stat_database where datname = current_database()")
    return count


@pytest.mark.timeout(600)
@pytest.mark.parametrize("orders", [2_400, pytest.param(10_000, marks=pytest.mark.long_form)])
def test_orders_of_the_same_products_in_opposite_order_never_deadlock(
    url: str, conn: Connection, orders: int
) -> None:
    context = make_context(conn, partners=BUYERS, products=3, stock=10_000_000, credit=10**12)
    conn.execute(
        "update app.sub_distributors set status = 'SUSPENDED' where id = %s", [context.subdists[1].sub]
    )
    before = _deadlock_count(conn)
    failures: list[BaseException] = []
    stop = threading.Event()

    def place_orders(buyer: int) -> None:
        try:
            with connect(url) as c:
                # two buyers share a partner, so that they also contend for the partner's row
                claims = context.partners[buyer // 2].claims
                c.execute(
                    sql.SQL(_PLACE_ORDERS.replace("'k'", f"'{buyer}-'")).format(
                        orders=sql.Literal(orders // BUYERS),
                        claims=sql.Literal(claims),
                        ascending=_order_lines(0, 1, 2),
                        descending=_order_lines(2, 1, 0),
                        mixed=_order_lines(1, 0),
                    )
                )
        except BaseException as failure:
            failures.append(failure)

    def run_other_calls() -> None:
        """Sync stock in a third order, run jobs, and accept, approve and acknowledge orders."""
        levels = [{"sku": f"SKU-00{i}", "quantity": 10_000_000} for i in (1, 2, 0)]
        try:
            with connect(url) as c:
                while not stop.is_set():
                    call(c, context.erp, "erp_apply_stock", levels=levels)
                    run_job(c, "point-queue")
                    run_job(c, "sla-sweep")
                    open_order = c.execute(
                        "select id, routed_to_subdist_id from app.orders"
                        " where status = 'SUBMITTED' limit 1 offset 20"
                    ).fetchone()
                    if open_order:
                        try:
                            subdist = next(s for s in context.subdists if s.sub == str(open_order[1]))
                            call(c, subdist, "respond_order", order_id=open_order[0], decision="ACCEPT")
                            call(c, context.admin, "approve_order", order_id=open_order[0])
                            call(c, context.erp, "erp_ack_order", order_id=open_order[0], erp_reference="S")
                        except RefusedError:
                            pass  # its buyer cancelled it first
                    time.sleep(0.01)
        except BaseException as failure:
            failures.append(failure)

    buyers = [threading.Thread(target=place_orders, args=(i,), daemon=True) for i in range(BUYERS)]
    other_calls = threading.Thread(target=run_other_calls, daemon=True)
    for thread in (*buyers, other_calls):
        thread.start()
    for thread in buyers:
        thread.join(400)
    stop.set()
    other_calls.join(30)
    assert not failures, failures[0]
    assert value(conn, "select count(*) from app.orders") == orders
    assert _deadlock_count(conn) == before
    assert_invariants(conn)
