-- Statistics of partners.

-- A materialized view ignores the row security of its tables, so this view filters by caller: one
-- branch a role, of which PostgreSQL runs the caller's only. A security barrier keeps the caller's
-- ORDER BY and LIMIT outside, so the view is ordered itself: a list in this order reads one page.
create view api.partner_statistics with (security_invoker = false, security_barrier = true) as
select
  s.partner_id || ':' || s.month as id, s.partner_id, s.month, s.order_count, s.total_spend
from (
  (select m.partner_id, m.month, m.order_count, m.total_spend
  from app.partner_monthly_statistics as m
  where (select auth.caller_role()) = 'partner'
    and m.partner_id = (select auth.current_user_id())
  order by m.month desc)
  union all
  (select m.partner_id, m.month, m.order_count, m.total_spend
  from app.partner_monthly_statistics as m
  where (select auth.caller_role()) = 'agent'
    and (
      select true from app.partners as p
      where p.id = m.partner_id and p.region_id = any (array(select auth.agent_regions()))
        and p.deleted_at is null
    )
  order by m.month desc)
  union all
  (select m.partner_id, m.month, m.order_count, m.total_spend
  from app.partner_monthly_statistics as m
  where (select auth.caller_role()) in ('admin', 'superadmin')
  order by m.month desc)
) as s
order by s.month desc;
comment on view api.partner_statistics is
$$Orders and spend (IDR) of each partner by month
Refreshed every 15 minutes; a month starts and ends by Jakarta time.$$;

-- A relation that PostgREST finds by no foreign key: partner_statistics?select=*,partners(*).
create function api.partners(api.partner_statistics) returns setof api.partners
language sql stable rows 1
as $$ select p.* from api.partners as p where p.id = $1.partner_id $$;
comment on function api.partners(api.partner_statistics) is 'The partner of a month, to embed';

grant select on api.partner_statistics to partner, agent, admin;
grant execute on function api.partners(api.partner_statistics) to agent, admin;
