-- The hub's side of the outbox benchmark: 5,000 recipients, and the calls of a messenger. Runs
-- after hub.sql.

insert into app.partners (id, email, phone, password_hash, business_name, credit_limit)
select
  bench.partner_id(i), 'salon' || i || '@bench.test', '+62813' || lpad(i::text, 7, '0'), 'x',
  'Salon ' || i, 0
from generate_series(1001, 5000) as i;

-- Enqueues p_hot messages for one recipient, then p_messages for the others in turn. Each message
-- is about one of the existing orders.
create function bench.fill_outbox(p_messages int, p_hot int default 0) returns void
language plpgsql volatile security definer
as $$
declare
  v_orders uuid[] := array(select o.id from app.orders as o limit 500);
begin
  truncate app.messages cascade;
  insert into app.messages (
    template, recipient_type, recipient_id, order_id, variables, priority
  )
  select 'order_status', 'PARTNER',
    bench.partner_id(case when i <= p_hot then 1 else 2 + i % 4999 end),
    v_orders[1 + i % cardinality(v_orders)], '{"status_text": "selesai"}',
    app.message_priority('order_status')
  from generate_series(1, p_hot + p_messages) as i;
end $$;

create function bench.claim_batch(p_max int) returns text
language plpgsql volatile security definer
as $$
declare
  v_ids uuid[] := array(select c.id from api.claim_messages(p_max, 60) as c);
begin
  if v_ids = '{}' then
    raise exception 'no message was due, so there is nothing to measure';
  end if;
  return v_ids;
end $$;

create function bench.mark_sent(p_ids uuid[]) returns void
language plpgsql volatile security definer
as $$
begin
  perform api.messages_sent(jsonb_agg(jsonb_build_object(
    'message_id', i, 'provider_id', 'wamid.' || i))) from unnest(p_ids) as i;
end $$;

create function bench.enqueue_one() returns void
language sql volatile security definer
as $$
  select app.enqueue_message(
    'order_status', 'PARTNER', bench.partner_id(1), (select o.id from app.orders as o limit 1))
$$;

grant execute on all functions in schema bench to public;
