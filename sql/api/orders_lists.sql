-- Lists of orders that no view of the table can serve at a constant cost.

create view api.order_counts with (security_invoker = true) as
select c.status::text as id, c.status, c.order_count, c.order_count = 1000 as is_capped
from app.order_counts() as c;
comment on view api.order_counts is
$$Numbers of the orders that the caller sees and that are not closed or completed, by status
It counts up to 1,000 of each; is_capped is true when there may be more.$$;
comment on column api.order_counts.order_count is 'Orders with this status, at most 1,000';

grant execute on function app.order_counts() to partner, agent, admin, subdist;
grant select on api.order_counts to partner, agent, admin, subdist;

create function api.newest_orders(
  n int default 20, before timestamptz default null, after uuid default null
)
returns setof api.orders language sql stable rows 20
as $$
  select o.*
  from app.newest_order_ids(newest_orders.n, newest_orders.before, newest_orders.after) as i (id)
  cross join lateral (select * from api.orders as u where u.id = i.id limit 1) as o
  order by o.created_at desc, o.id desc
$$;
comment on function api.newest_orders(int, timestamptz, uuid) is
$$List the newest orders that the caller sees, embeddable like orders
n is 1 to 100; after is the id of the last order of the page before, null for the first; before, a
time, may be given instead.
For an agent of few partners it is faster than orders?order=created_at.desc, whatever the number of
orders.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404.$$;

create function api.newest_order_events(
  n int default 20, before timestamptz default null, after bigint default null
)
returns setof api.order_events language sql stable rows 20
as $$
  select e.*
  from app.newest_order_event_ids(
    newest_order_events.n, newest_order_events.before, newest_order_events.after
  ) as i (id)
  cross join lateral (select * from api.order_events as v where v.id = i.id limit 1) as e
  order by e.created_at desc, e.id desc
$$;
comment on function api.newest_order_events(int, timestamptz, bigint) is
$$List the newest events of the orders that the caller sees, embeddable like order_events
n is 1 to 100; after is the id of the last event of the page before, null for the first; before, a
time, may be given instead.
For a sub-distributor the events are those of their newest 200 orders. For them, and for an agent
of few partners, it is faster than order_events?order=created_at.desc, whatever the number of
orders.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404.$$;

grant execute on function
  app.check_page(int, timestamptz, text), app.check_cursor(boolean),
  app.page_start(regclass, text, int, timestamptz, text), app.is_agent_of_few_partners(),
  app.leading_partners(regclass, text, boolean, int, timestamptz, text),
  app.newest_order_ids(int, timestamptz, uuid),
  app.newest_order_event_ids(int, timestamptz, bigint),
  api.newest_orders(int, timestamptz, uuid), api.newest_order_events(int, timestamptz, bigint)
to partner, agent, admin, subdist;
