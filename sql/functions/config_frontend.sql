-- The part of the configuration that frontends read.

create function app.frontend_config_keys() returns text[] language sql immutable
as $$
  select array[
    'cache.stock_seconds', 'credit.over_limit_policy', 'invoice.due_days.gold',
    'invoice.due_days.platinum', 'invoice.due_days.silver', 'loyalty.expiration_policy',
    'loyalty.multiplier.gold', 'loyalty.multiplier.platinum', 'loyalty.multiplier.silver',
    'loyalty.point_value_rupiah', 'loyalty.rupiah_per_point', 'order.max_lines',
    'order.minimum_threshold', 'sla.approval_hours', 'sla.escalation_hours', 'sla.manager_hours',
    'sla.reminder_hours', 'stock.sync_interval_minutes'
  ]
$$;
comment on function app.frontend_config_keys() is
  'The configs that every signed-in caller may read, because frontends explain rules by them';

create view app.config_document with (security_invoker = true) as
select coalesce(json_object_agg(c.config_key, c.config_value order by c.config_key), '{}') as body
from app.system_configs as c
where c.config_key = any (app.frontend_config_keys());
comment on view app.config_document is 'The configs that frontends read, as one object';

create function app.frontend_configs() returns json language plpgsql stable
as $$
begin
  if app.is_not_modified(format('"%s"', app.cache_version('configs'))) then
    return null;
  end if;
  return (select d.body from app.config_document as d);
end $$;
comment on function app.frontend_configs() is
  'The configs that frontends read, with their ETag; null with status 304 if the caller has them';
