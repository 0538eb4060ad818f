-- Statistics of partners.

-- A materialized view ignores the row security of its tables, so this view filters by caller.
create view api.partner_statistics with (security_invoker = false, security_barrier = true) as
select s.partner_id, s.month, s.order_count, s.total_spend
from app.partner_monthly_statistics as s
where case auth.caller_role()
  when 'partner' then s.partner_id = (select auth.current_user_id())
  when 'agent' then s.partner_id in (
    select p.id from app.partners as p
    where p.region_id in (select auth.agent_regions()) and p.deleted_at is null
  )
  else auth.caller_role() in ('admin', 'superadmin')
end;
comment on view api.partner_statistics is
$$Orders and spend (IDR) of each partner by month
Refreshed every 15 minutes; a month starts and ends by Jakarta time.$$;

grant select on api.partner_statistics to partner, agent, admin;
