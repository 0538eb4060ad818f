-- The floor of the outbox: a plain queue with `skip locked`, without order for each recipient,
-- texts, retries or lapsing leases.

create table floor.queue (
  id bigint generated always as identity primary key,
  recipient int not null,
  entry jsonb not null,
  status text not null default 'PENDING',
  lease_until timestamptz,
  provider_id text
) with (fillfactor = 70);
create index queue_due_idx on floor.queue (id) where status = 'PENDING';

create function floor.fill_outbox(p_messages int, p_hot int default 0) returns void
language plpgsql volatile security definer
as $$
begin
  truncate floor.queue;
  insert into floor.queue (recipient, entry)
  select i % 5000, '{"status_text": "selesai"}' from generate_series(1, p_hot + p_messages) as i;
end $$;

create function floor.claim_batch(p_max int) returns text
language plpgsql volatile security definer
as $$
declare
  v_ids bigint[];
begin
  with due as (
    select q.id from floor.queue as q
    where q.status = 'PENDING' order by q.id limit p_max for update skip locked
  ),
  claimed as (
    update floor.queue as q set status = 'CLAIMED', lease_until = now() + interval '1 minute'
    from due as d where q.id = d.id
    returning q.id
  )
  select array_agg(c.id) into v_ids from claimed as c;
  if v_ids is null then
    raise exception 'no message was due, so there is nothing to measure';
  end if;
  return v_ids;
end $$;

create function floor.mark_sent(p_ids bigint[]) returns void
language plpgsql volatile security definer
as $$
begin
  update floor.queue as q set
    status = 'SENT', lease_until = null, provider_id = 'wamid.' || q.id
  where q.id = any (p_ids);
end $$;

create function floor.enqueue_one() returns void
language plpgsql volatile security definer
as $$
begin
  insert into floor.queue (recipient, entry) values (1, '{"status_text": "selesai"}');
  perform pg_notify('hub_messages', '');
end $$;
