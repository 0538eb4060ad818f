-- The region of an escalation, by which agents see the escalations of their regions.

create function app.escalation_region(p_order_id uuid) returns uuid language plpgsql stable
as $$
begin
  return (
    select p.region_id
    from app.orders as o join app.partners as p on p.id = o.partner_id
    where o.id = p_order_id and p.deleted_at is null
  );
end $$;
comment on function app.escalation_region(uuid) is
  'Region of the order''s partner; null if there is none or the partner is deleted';

create function app.tg_sla_escalation_logs__derive_region() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  new.region_id := app.escalation_region(new.order_id);
  return new;
end $$;
create trigger _200_derive_region before insert on app.sla_escalation_logs
for each row execute function app.tg_sla_escalation_logs__derive_region();

create function app.tg_partners__move_escalations() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update app.sla_escalation_logs as l
  set region_id = case when new.deleted_at is null then new.region_id end
  where l.order_id in (select o.id from app.orders as o where o.partner_id = new.id);
  return null;
end $$;
create trigger _300_move_escalations after update of region_id, deleted_at on app.partners
for each row when (
  (new.region_id, new.deleted_at) is distinct from (old.region_id, old.deleted_at)
)
execute function app.tg_partners__move_escalations();
