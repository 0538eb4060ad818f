-- The life of an order, as its callers move it, for the benchmark of heap-only updates. Runs after
-- hub.sql.

insert into auth.jwt_secret (secret) values (gen_random_uuid()::text) on conflict do nothing;

create function bench.act_as(p_role text, p_subject uuid) returns void
language plpgsql volatile
as $$
begin
  perform
    set_config('search_path', '"api", "public"', true),
    set_config('request.jwt.claims',
      json_build_object('role', p_role, 'sub', p_subject, 'exp', 4102444800)::text, true),
    set_config('request.headers', '{"x-forwarded-for":"203.0.113.7"}', true),
    set_config('role', p_role, true);
end $$;

create function bench.admin_id() returns uuid language sql stable security definer
as $$ select a.id from app.agents as a where a.email = 'admin@bench.test' $$;

create function bench.respond(p_order_id uuid) returns void
language plpgsql volatile
as $$
declare
  v_subdist_id uuid := bench.subdist_of(p_order_id);
begin
  perform bench.act_as('subdist', v_subdist_id);
  perform api.respond_order(p_order_id, 'ACCEPT');
end $$;

create function bench.subdist_of(p_order_id uuid) returns uuid
language sql stable security definer
as $$ select o.routed_to_subdist_id from app.orders as o where o.id = p_order_id $$;

create function bench.move(p_order_id uuid, p_to text) returns void
language plpgsql volatile
as $$
begin
  perform bench.act_as('admin', bench.admin_id());
  case p_to
    when 'APPROVED' then perform api.approve_order(p_order_id);
    when 'SHIPPED' then perform api.ship_order(p_order_id);
    else perform api.complete_order(p_order_id);
  end case;
end $$;

create function bench.pay(p_order_id uuid) returns void
language plpgsql volatile
as $$
begin
  perform bench.act_as('admin', bench.admin_id());
  perform api.record_payment(i.id, i.amount_due, 'transfer', 'R ' || i.id)
  from api.invoices as i where i.order_id = p_order_id;
end $$;

-- A transaction each, as a messenger claims and reports.
create function bench.claim_some(p_max int) returns text
language plpgsql volatile security definer
as $$
begin
  return array(select c.id from api.claim_messages(p_max, 60) as c);
end $$;

create function bench.settle(p_ids uuid[], p_status text) returns void
language plpgsql volatile security definer
as $$
begin
  if p_status = 'SENT' then
    perform api.messages_sent(jsonb_agg(jsonb_build_object(
      'message_id', i, 'provider_id', 'wamid.' || i))) from unnest(p_ids) as i
    having count(*) > 0;
  else
    -- as the inbox does, which reports those of a webhook in one transaction
    perform from app.messages as m where m.id = any (p_ids) order by m.id for no key update;
    perform api.message_status('wamid.' || i, p_status) from unnest(p_ids) as i;
  end if;
end $$;

create function bench.sign_in(p_partner int) returns text
language plpgsql volatile security definer
as $$
begin
  return auth.open_session(bench.partner_id(p_partner), 'partner') ->> 'refresh_token';
end $$;

create function bench.refresh(p_token text) returns text
language plpgsql volatile security definer
as $$
begin
  return api.refresh_session(p_token) ->> 'refresh_token';
end $$;

grant execute on all functions in schema bench to public;
