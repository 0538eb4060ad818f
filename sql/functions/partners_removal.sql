-- Deleting a partner, and erasing their personal data (UU PDP). Both keep every sum: no row of a
-- ledger is deleted, and no amount changes.

create function app.is_erasing(p_partner_id uuid default null)
returns boolean language plpgsql stable
as $$
begin
  return exists (
    select from app.partner_removals as r
    where r.transaction_id = pg_current_xact_id() and r.kind = 'ERASED'
      and r.partner_id = coalesce(p_partner_id, r.partner_id)
  );
end $$;
comment on function app.is_erasing(uuid) is
  'Whether this transaction erases a partner, or this one';

create trigger _100_append_only before update or delete on app.partner_removals
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.partner_removals
for each statement execute function app.tg_append_only();

-- Audit: what the trail masks and an erasure has to find.
create function app.tg_partners__keep_former_contact() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.partner_former_contacts (partner_id, phone, email, business_name)
  values (old.id, old.phone, old.email, old.business_name);
  return null;
end $$;
create trigger _810_keep_former_contact after update of phone, email, business_name
on app.partners
for each row when (
  (new.phone, new.email, new.business_name)
  is distinct from (old.phone, old.email, old.business_name)
)
execute function app.tg_partners__keep_former_contact();

-- A number that others had before, or have had since, is the partner's only in between.
create function app.partner_contacts(p_partner_id uuid)
returns table (
  phone text, email text, business_name text, since timestamptz, until timestamptz
)
language plpgsql stable
as $$
begin
  return query
  select
    c.phone, c.email, c.business_name,
    coalesce((
      select max(f.replaced_at) from app.partner_former_contacts as f
      where f.phone = c.phone and f.partner_id <> p_partner_id and f.replaced_at < c.replaced_at
    ), '-infinity'),
    case
      when exists (select from app.partners as p where p.phone = c.phone and p.id <> p_partner_id)
        or exists (select from app.agents as a where a.phone = c.phone)
        or exists (select from app.sub_distributors as s where s.whatsapp_number = c.phone)
        or exists (
          select from app.partner_former_contacts as f
          where f.phone = c.phone and f.partner_id <> p_partner_id
            and f.replaced_at > c.replaced_at
        )
        then c.replaced_at
      else 'infinity'
    end
  from (
    select
      p.phone::text, p.email::text, p.business_name::text,
      'infinity'::timestamptz as replaced_at
    from app.partners as p where p.id = p_partner_id
    union all
    select f.phone, f.email, f.business_name, f.replaced_at
    from app.partner_former_contacts as f where f.partner_id = p_partner_id
  ) as c;
end $$;
comment on function app.partner_contacts(uuid) is
  'Numbers, addresses and names of a partner, present and former, and from when until when a '
  'number was theirs; infinity where no one else had it';

-- Reads all webhooks once.
create function app.webhooks_of(p_partner_id uuid)
returns uuid[] language plpgsql stable
as $$
begin
  return array(
    select b.id from app.inbound_messages as b
    where b.payload is not null and exists (
      select from app.partner_contacts(p_partner_id) as c
      where b.received_at >= c.since and b.received_at < c.until
        and b.payload::text like '%"' || ltrim(c.phone, '+') || '"%'
    )
  );
end $$;
comment on function app.webhooks_of(uuid) is
  'Webhooks that contain a number of a partner, also one that they had earlier';

create function app.purge_former_contacts(p_limit int)
returns int language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_custom_plan
as $$
declare
  v_before timestamptz := now() - make_interval(days => greatest(
    app.config_int('retention.webhook_days'), app.config_int('retention.message_days')));
  v_count int;
begin
  delete from app.partner_former_contacts as f
  where (f.partner_id, f.replaced_at) in (
    select c.partner_id, c.replaced_at from app.partner_former_contacts as c
    where c.replaced_at < v_before
    order by c.replaced_at
    limit p_limit
    for update skip locked
  );
  get diagnostics v_count = row_count;
  return v_count;
end $$;
comment on function app.purge_former_contacts(int) is
  'Deletes up to p_limit former contacts under which no webhook or message is kept any more, '
  'oldest first; returns how many';

create function app.check_partner_settled(p_partner_id uuid)
returns void language plpgsql stable
as $$
declare
  v_orders int;
  v_owed numeric;
  v_refund numeric;
begin
  select count(*) into v_orders from app.orders as o
  where o.partner_id = p_partner_id
    and o.status in ('SUBMITTED', 'PROCESSING', 'APPROVED', 'SHIPPED');
  select p.credit_used into strict v_owed from app.partners as p where p.id = p_partner_id;
  select coalesce(sum(i.refund_due), 0) into v_refund
  from app.invoices as i where i.partner_id = p_partner_id;
  if v_orders > 0 or v_owed > 0 or v_refund > 0 then
    perform app.fail('PARTNER_NOT_SETTLED',
      format('%s open orders, %s owed or on order, %s to refund',
        v_orders, app.format_rupiah(v_owed), app.format_rupiah(v_refund)));
  end if;
end $$;
comment on function app.check_partner_settled(uuid) is
  'Raises PARTNER_NOT_SETTLED while the partner owes money, is owed a refund or has open orders';

-- SECURITY INVOKER, like the guard of orders; for psql, too.
create function app.tg_partners__guard_deletion() returns trigger
language plpgsql
as $$
begin
  perform app.check_partner_settled(new.id);
  return new;
end $$;
create trigger _100_guard_deletion before update of deleted_at on app.partners
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function app.tg_partners__guard_deletion();

create function app.withdraw_from_recipient(p_partner_id uuid)
returns void language plpgsql volatile
as $$
declare
  -- Those that wait or are in flight, by the indexes of the queues.
  v_ids constant uuid[] := array(
    select m.id from app.messages as m
    where m.status in ('PENDING', 'CLAIMED', 'UNKNOWN') and m.priority in (0, 1, 2)
      and m.channel in ('WHATSAPP', 'EMAIL')
      and app.message_lane(m.recipient_id) = app.message_lane(p_partner_id)
      and m.recipient_id = p_partner_id
  );
begin
  perform from app.messages as m where m.id = any (v_ids) order by m.id for no key update;
  -- What a messenger has claimed may still be sent, but is not sent again, nor by e-mail.
  update app.messages as m set
    status = case m.status when 'PENDING' then 'WITHDRAWN' else m.status end,
    error_code = case m.status when 'PENDING' then 'partner deleted' else m.error_code end,
    variables = case m.status when 'PENDING' then '{}' else m.variables end,
    expires_at = now()
  where m.id = any (v_ids) and m.status in ('PENDING', 'CLAIMED', 'UNKNOWN');
end $$;
comment on function app.withdraw_from_recipient(uuid) is
  'Withdraws every message to a partner that has not been sent';

-- The caller has locked the partner. A trigger refuses the deletion while anything is open.
create function app.close_partner(p_partner_id uuid, p_reason text)
returns void language plpgsql volatile
as $$
declare
  v_draft_id uuid;
begin
  perform auth.close_account_sessions(p_partner_id, 'partner deleted');
  update app.partners as p set deleted_at = now() where p.id = p_partner_id;
  insert into app.partner_removals (partner_id, kind, reason, agent_id)
  values (p_partner_id, 'DELETED', p_reason, auth.current_agent_id());

  for v_draft_id in
    select o.id from app.orders as o
    where o.partner_id = p_partner_id and o.status = 'DRAFT' order by o.id
  loop
    perform app.close_order(v_draft_id, 'CANCELLED', 'partner deleted');
  end loop;
  perform app.withdraw_from_recipient(p_partner_id);
end $$;
comment on function app.close_partner(uuid, text) is
  'Hides a partner, cancels their drafts, closes their sessions and withdraws their messages; '
  'raises PARTNER_NOT_SETTLED';

create function app.partner_removal(p_partner_id uuid, p_duplicate boolean)
returns json language plpgsql stable
as $$
begin
  return (
    select json_build_object(
      'partner_id', p.id, 'deleted_at', p.deleted_at, 'erased_at', r.created_at,
      'duplicate', p_duplicate)
    from app.partners as p
    left join app.partner_removals as r on r.partner_id = p.id and r.kind = 'ERASED'
    where p.id = p_partner_id
  );
end $$;
comment on function app.partner_removal(uuid, boolean) is
  'What delete_partner and erase_partner return';

create function app.delete_partner(p_partner_id uuid, p_reason text)
returns json language plpgsql volatile
as $$
declare
  v_reason text;
  v_deleted_at timestamptz;
begin
  v_reason := app.require_text('reason', p_reason, 500);
  perform from app.partners as p where p.id = p_partner_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'partner');
  end if;
  select p.deleted_at into v_deleted_at from app.partners as p where p.id = p_partner_id;
  if v_deleted_at is null then
    perform app.close_partner(p_partner_id, v_reason);
  end if;
  return app.partner_removal(p_partner_id, v_deleted_at is not null);
end $$;
comment on function app.delete_partner(uuid, text) is
  'Deletes a partner softly; a repeat changes nothing. Raises INVALID_ARGUMENT, NOT_FOUND, '
  'PARTNER_NOT_SETTLED';

create view app.partner_tables with (security_invoker = true) as
select c.oid as id, c.relname as name
from pg_catalog.pg_class as c
inner join pg_catalog.pg_attribute as a
  on a.attrelid = c.oid and a.attname = 'partner_id' and not a.attisdropped
where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'p');
comment on view app.partner_tables is
  'Tables of schema app whose rows name a partner: exported, and erased as app.personal_columns() '
  'says';

-- A table that is added needs only its line in app.personal_columns().
create function app.erase_rows(p_partner_id uuid)
returns void language plpgsql volatile
as $$
declare
  v_table record;
begin
  for v_table in
    select
      c.name, string_agg(quote_ident(k.name), ', ' order by k.name) as columns,
      string_agg('r.' || quote_ident(k.name), ', ' order by k.name) as erased,
      string_agg('t.' || quote_ident(k.name), ', ' order by k.name) as present
    from app.partner_tables as c
    cross join lateral unnest(app.personal_columns(c.name)) as k (name)
    join pg_catalog.pg_attribute as g
      on g.attrelid = c.id and g.attname = k.name and g.attgenerated = ''
    where c.name <> 'partner_removals'
    group by c.name order by c.name
  loop
    execute format(
      'update app.%1$I as t set (%2$s) = (
         select %3$s from jsonb_populate_record(t, app.erase_row(%1$L, to_jsonb(t))) as r
       )
       where t.partner_id = $1 and num_nonnulls(%4$s) > 0',
      v_table.name, v_table.columns, v_table.erased, v_table.present)
    using p_partner_id;
  end loop;
  -- Keys of the calls that booked the partner's rows.
  update app.idempotency_keys as k set idempotency_key = '***' || k.result_id
  where k.result_id = any (app.audited_ids(p_partner_id));
  update app.partner_removals as r set reason = '***'
  where r.partner_id = p_partner_id and r.kind = 'DELETED';
  update app.sla_escalation_logs as l set reason = '***'
  where l.reason is not null
    and l.order_id in (select o.id from app.orders as o where o.partner_id = p_partner_id);
end $$;
comment on function app.erase_rows(uuid) is
  'Empties the personal columns of the partner''s orders, ledgers and histories';

create function app.erase_account(p_partner_id uuid)
returns void language plpgsql volatile
as $$
begin
  -- A sign-in that is being checked locks its count before the account; what it holds is purged
  -- within two days.
  delete from auth.login_attempts as a
  where a.key = any (array(
    select l.key from auth.login_attempts as l
    where l.key in (
      select auth.attempt_key(k.kind, c.email)
      from app.partner_contacts(p_partner_id) as c, unnest(array['email', 'reset']) as k (kind)
      union all
      select auth.attempt_key('password', p_partner_id::text)
      union all
      select k.kind || auth.network_of(s.ip_address)
      from auth.sessions as s, unnest(array['ip:', 'reset-ip:']) as k (kind)
      where s.subject_id = p_partner_id
    )
    for update skip locked
  ));
  delete from auth.password_codes as c where c.partner_id = p_partner_id;
  delete from auth.sessions as s where s.subject_id = p_partner_id;
  update app.partners as p set
    email = 'erased-' || p.id || '@erased.invalid', phone = null, password_hash = '!',
    business_name = '***', salon_type = null, chair_count = null, specialization = null,
    address = null, is_active = false
  where p.id = p_partner_id;
  -- that update added one
  delete from app.partner_former_contacts as f where f.partner_id = p_partner_id;
end $$;
comment on function app.erase_account(uuid) is
  'Removes the partner''s sessions and sign-in attempts, and who they are and were from their '
  'account';

-- Reads all messages once: a message names its recipient, but no index does, because an erasure is
-- rare and each message would pay for it.
create function app.erase_messages(p_partner_id uuid)
returns void language plpgsql volatile
as $$
declare
  v_names constant text[] := array(
    select c.business_name from app.partner_contacts(p_partner_id) as c);
  v_own uuid[];
  v_others uuid[];
begin
  select
    coalesce(array_agg(m.id) filter (where m.recipient_id = p_partner_id), '{}'),
    coalesce(array_agg(m.id) filter (where m.recipient_id <> p_partner_id), '{}')
  into v_own, v_others
  from app.messages as m
  where m.recipient_id = p_partner_id
    or m.order_id in (select o.id from app.orders as o where o.partner_id = p_partner_id)
    -- enqueued with a redemption, which they do not name; the partner may have been renamed
    or (m.template = 'redemption_due' and m.created_at in (
      select r.created_at from app.redemptions as r where r.partner_id = p_partner_id
    ))
    -- what they wrote, as it was forwarded, and what else names them
    or (m.template = 'inbound_text' and exists (
      select from app.partner_contacts(p_partner_id) as c
      where m.created_at >= c.since and m.created_at < c.until
        and m.variables ->> 'sender' like '%(' || c.phone || ')'
    ))
    or (m.order_id is null and m.variables <> '{}' and exists (
      select from jsonb_each_text(m.variables) as v where v.value = any (v_names)
    ));
  perform from app.messages as m
  where m.id = any (v_own || v_others) order by m.id for no key update;
  perform app.keep_provider_ids(v_own);
  update app.messages as m set
    status = case when m.status in ('HELD', 'PENDING') then 'WITHDRAWN' else m.status end,
    expires_at = case
      when m.status in ('HELD', 'PENDING', 'CLAIMED', 'UNKNOWN') then now() else m.expires_at
    end,
    variables = '{}',
    request_id = null,
    error_code = case when m.error_code is not null then '***' end,
    -- the provider's id contains the number of the recipient
    provider_id = case when m.id = any (v_others) then m.provider_id end,
    refused_id = case when m.id = any (v_others) then m.refused_id
      when m.refused_id is not null then '' end
  where m.id = any (v_own || v_others);
end $$;
comment on function app.erase_messages(uuid) is
  'Empties the messages to a partner, about their orders, and of what they wrote';

-- A webhook may bring messages of several senders. Those of others are processed already, so that
-- only the copy of the body is lost.
create function app.erase_webhooks(p_partner_id uuid)
returns void language plpgsql volatile
as $$
declare
  v_ids constant uuid[] := app.webhooks_of(p_partner_id);
begin
  perform from app.inbound_messages as b
  where b.id = any (v_ids) order by b.id for no key update;
  if exists (
    select from app.inbound_messages as b where b.id = any (v_ids) and b.processed_at is null
  ) then
    perform app.fail('PARTNER_NOT_SETTLED', 'a message of theirs waits to be processed',
      'Try again in a minute');
  end if;
  perform app.strip_webhooks(v_ids);
  delete from app.conversations as c
  where c.number in (
    select k.phone from app.partner_contacts(p_partner_id) as k where k.until = 'infinity'
  );
end $$;
comment on function app.erase_webhooks(uuid) is
  'Removes the bodies of webhooks that contain a number of a partner, also one that they had '
  'earlier; raises PARTNER_NOT_SETTLED while one is not processed';

create function app.audited_ids(p_partner_id uuid)
returns uuid[] language plpgsql stable
as $$
declare
  v_table name;
  v_found uuid[];
  v_ids uuid[] := array[p_partner_id];
begin
  for v_table in
    select c.name from app.partner_tables as c
    join pg_catalog.pg_trigger as g on g.tgrelid = c.id and g.tgname = '_800_audit_insert'
    where app.personal_columns(c.name) is not null
    order by c.name
  loop
    execute format('select array_agg(t.id) from app.%I as t where t.partner_id = $1', v_table)
    into v_found using p_partner_id;
    v_ids := v_ids || v_found;
  end loop;
  return v_ids;
end $$;
comment on function app.audited_ids(uuid) is
  'Ids of the partner and of their rows in audited tables that have personal columns';

-- The buffer is moved first: it holds the rows as they were, also those that this erasure changed.
-- No flush is under way meanwhile, whose rows this transaction could not see.
create function app.erase_trail(p_partner_id uuid)
returns void language plpgsql volatile
as $$
declare
  v_ids uuid[];
begin
  perform pg_advisory_xact_lock(hashtext('app.audit_buffer'));
  while app.flush_audit_buffer(10000) > 0 loop
  end loop;
  v_ids := app.audited_ids(p_partner_id);
  update app.audit_logs as l set
    old_value = app.erase_row(l.target_type, l.old_value),
    new_value = app.erase_row(l.target_type, l.new_value)
  where l.target_id = any (v_ids)
    and (
      l.old_value ?| app.personal_columns(l.target_type)
      or l.new_value ?| app.personal_columns(l.target_type)
    );
  -- In shadow mode the address is the agent's.
  update app.audit_logs as l set ip_address = null
  where l.actor_id = p_partner_id and l.ip_address is not null;
end $$;
comment on function app.erase_trail(uuid) is
  'Empties what the audit trail masked of a partner''s rows, and removes their addresses';

create function app.erase_quarantine(p_partner_id uuid)
returns void language plpgsql volatile
as $$
begin
  delete from app.erp_quarantine as q
  using app.invoices as i
  where i.partner_id = p_partner_id and starts_with(q.key, i.invoice_number || ' ');
end $$;
comment on function app.erase_quarantine(uuid) is
  'Deletes quarantined payments of a partner''s invoices, all of which are settled';

create function app.erase_partner(p_partner_id uuid, p_reason text)
returns json language plpgsql volatile
as $$
declare
  v_reason text;
  v_deleted_at timestamptz;
begin
  v_reason := app.require_text('reason', p_reason, 500);
  perform from app.partners as p where p.id = p_partner_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'partner');
  elsif exists (
    select from app.partner_removals as r
    where r.partner_id = p_partner_id and r.kind = 'ERASED'
  ) then
    return app.partner_removal(p_partner_id, true);
  end if;
  select p.deleted_at into v_deleted_at
  from app.partners as p where p.id = p_partner_id;
  if v_deleted_at is null then
    perform app.close_partner(p_partner_id, v_reason);
  else
    -- a payment may have been reversed since then
    perform app.check_partner_settled(p_partner_id);
  end if;
  perform from app.orders as o where o.partner_id = p_partner_id order by o.id for no key update;

  -- Before the record of the erasure, whose own reason stays.
  perform app.erase_webhooks(p_partner_id);
  insert into app.partner_removals (partner_id, kind, reason, agent_id)
  values (p_partner_id, 'ERASED', v_reason, auth.current_agent_id());

  perform app.erase_rows(p_partner_id);
  perform app.erase_messages(p_partner_id);
  perform app.erase_quarantine(p_partner_id);
  perform app.erase_account(p_partner_id);
  perform app.erase_trail(p_partner_id);
  return app.partner_removal(p_partner_id, false);
end $$;
comment on function app.erase_partner(uuid, text) is
  'Removes the personal data of a partner everywhere, after deleting them; keeps every row and '
  'sum. A repeat changes nothing. Raises INVALID_ARGUMENT, NOT_FOUND, PARTNER_NOT_SETTLED';
