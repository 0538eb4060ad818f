-- How long messages and webhooks are kept. What makes each of them unique is kept for ever, as a
-- hash.

create function app.tg_messages__guard_provider_id() returns trigger
language plpgsql
as $$
begin
  if exists (
    select from app.purged_provider_ids as p
    where p.provider_hash = app.provider_hash(new.provider_id)
  ) then
    raise unique_violation using
      message = 'another message, which was purged, had this provider_id',
      schema = 'app', table = 'messages', constraint = 'messages_provider_id_key';
  end if;
  return new;
end $$;
create trigger _100_guard_provider_id before update of provider_id on app.messages
for each row when (
  new.provider_id is not null and new.provider_id is distinct from old.provider_id
)
execute function app.tg_messages__guard_provider_id();

create function app.keep_provider_ids(p_message_ids uuid[])
returns void language plpgsql volatile
as $$
begin
  insert into app.purged_provider_ids (provider_hash)
  select distinct app.provider_hash(m.provider_id)
  from app.messages as m
  where m.id = any (p_message_ids) and m.provider_id is not null
  order by 1
  on conflict do nothing;
end $$;
comment on function app.keep_provider_ids(uuid[]) is
  'Keeps the hashes of the provider''s ids of messages that are about to lose them';

-- What is to be sent, or unknown, stays, and so do the messages of open orders, by which hub check
-- sees that everyone was notified. Batches are by whole days, so that concurrent runs agree.
create function app.purge_messages(p_limit int)
returns int language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_custom_plan
as $$
declare
  v_before timestamptz := date_trunc(
    'day', now() - make_interval(days => app.config_int('retention.message_days')));
  v_ids uuid[];
begin
  v_ids := array(
    select m.id from app.messages as m
    where m.created_at < v_before
      and m.status in ('SENT', 'DELIVERED', 'READ', 'FAILED', 'WITHDRAWN')
      and not exists (
        select from app.orders as o
        where o.id = m.order_id and o.status in ('SUBMITTED', 'PROCESSING', 'APPROVED')
      )
    order by m.created_at
    limit p_limit
    for update of m skip locked
  );
  if v_ids = '{}' then
    return 0;
  end if;
  update app.impersonation_notifications as n set message_id = null
  where n.message_id = any (v_ids);
  perform app.keep_provider_ids(v_ids);
  delete from app.messages as m where m.id = any (v_ids);
  update app.messages_period as p set purged_until = v_before where p.purged_until < v_before;
  return cardinality(v_ids);
end $$;
comment on function app.purge_messages(int) is
  'Deletes up to p_limit settled messages older than retention.message_days, oldest first; returns '
  'how many. The notice of a shadow order stays without its message';

-- The row stays without its body: its hash, and the keys of its events, make a repeat harmless.
create function app.purge_webhooks(p_limit int)
returns int language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_custom_plan
as $$
declare
  v_before timestamptz := now() - make_interval(days => app.config_int('retention.webhook_days'));
  v_ids uuid[];
begin
  v_ids := array(
    select b.id from app.inbound_messages as b
    where b.received_at < v_before and b.payload is not null and b.processed_at is not null
    order by b.received_at
    limit p_limit
    for update skip locked
  );
  perform app.strip_webhooks(v_ids);
  return cardinality(v_ids);
end $$;
comment on function app.purge_webhooks(int) is
  'Removes the bodies of up to p_limit processed webhooks older than retention.webhook_days, '
  'oldest first; returns how many';

create function app.strip_webhooks(p_ids uuid[])
returns void language plpgsql volatile
as $$
begin
  update app.inbound_messages as b set payload = null where b.id = any (p_ids);
  -- The reason of a failure may quote the body.
  update app.inbound_events as e set outcome = 'failed'
  where e.inbound_message_id = any (p_ids) and e.outcome like 'failed: %';
end $$;
comment on function app.strip_webhooks(uuid[]) is
  'Removes the bodies of processed webhooks, and what their outcomes quote of them';
