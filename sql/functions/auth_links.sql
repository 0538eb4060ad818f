-- Sub-distributors sign in by a single-use link that they receive over WhatsApp.
-- Errors are returned, not raised (app.refuse), because their counters must commit.

-- Anyone can ask for links to anyone's number. So a number gets some at once, in case one does not
-- arrive, and then the next one when the last has expired: never many, and there is always one to
-- use. Each of these is valid for longer, so that few are sent in a day.
create function auth.link_lifetime(p_subdist_id uuid) returns interval language plpgsql stable
as $$
declare
  v_minutes int := app.config_int('auth.link_minutes');
  v_unused int;
  v_is_open boolean;
begin
  select count(*), bool_or(l.expires_at > now()) into v_unused, v_is_open
  from auth.sign_in_links as l
  where l.subdist_id = p_subdist_id and l.created_at > now() - interval '1 day'
    and l.created_at > coalesce((
      select max(u.used_at) from auth.sign_in_links as u where u.subdist_id = p_subdist_id
    ), '-infinity');
  return case
    when v_unused < app.config_int('auth.max_failures') then make_interval(mins => v_minutes)
    when not v_is_open then make_interval(mins => greatest(v_minutes, 120))
  end;
end $$;
comment on function auth.link_lifetime(uuid) is
  'How long the next sign-in link of a sub-distributor is valid, null if they have enough of them';

create function auth.request_link(p_whatsapp_number text)
returns json language plpgsql volatile
as $$
declare
  v_number text;
  v_ip text := auth.network_of(auth.client_ip());
  v_minutes int := app.config_int('auth.link_minutes');
  v_wait int;
  v_subdist record;
  v_lifetime interval;
  v_link record;
begin
  v_number := app.phone_number(
    'whatsapp_number', app.require_text('whatsapp_number', p_whatsapp_number, 60));
  if v_number is null then
    perform app.fail('INVALID_PHONE', 'whatsapp_number');
  end if;
  if v_ip is not null then
    v_wait := auth.count_attempt(
      'link-ip:' || v_ip, app.config_int('auth.max_failures_per_address'));
  end if;
  if v_wait is not null then
    return app.refuse('TOO_MANY_ATTEMPTS', p_retry_after_seconds => v_wait);
  end if;
  for v_subdist in
    select s.id from app.sub_distributors as s
    where s.whatsapp_number = v_number and s.status = 'ACTIVE' order by s.id for no key update
  loop
    v_lifetime := auth.link_lifetime(v_subdist.id);
    continue when v_lifetime is null;
    select * into v_link from auth.new_code();
    insert into auth.sign_in_links (token_hash, subdist_id, expires_at)
    values (v_link.token_hash, v_subdist.id, now() + v_lifetime);
    perform app.enqueue_messages(
      'sign_in_link', 'SUBDIST', array[v_subdist.id], null,
      jsonb_build_object(
        'token', v_link.token, 'minutes', (extract(epoch from v_lifetime) / 60)::int),
      'WHATSAPP', now() + v_lifetime);
  end loop;
  -- The same answer for every number, so that callers cannot find out which numbers are registered.
  return json_build_object('sent', true, 'minutes', v_minutes);
end $$;
comment on function auth.request_link(text) is
  'Sends a single-use sign-in token to a sub-distributor over WhatsApp, unless they have enough '
  'valid ones; throttled by address';

-- The account is locked before the link, as by a suspension: either that closes the session, or it
-- is not opened.
create function auth.redeem_link(p_token text)
returns json language plpgsql volatile
as $$
declare
  v_link auth.sign_in_links;
  v_is_active boolean;
begin
  select * into v_link from auth.sign_in_links as l
  where l.token_hash = auth.token_hash(p_token);
  select s.status = 'ACTIVE' into v_is_active
  from app.sub_distributors as s where s.id = v_link.subdist_id for no key update;
  select * into v_link from auth.sign_in_links as l
  where l.token_hash = v_link.token_hash for no key update;
  if not found or v_is_active is not true or v_link.used_at is not null
    or v_link.expires_at <= now()
  then
    return app.refuse('INVALID_LINK');
  end if;
  update auth.sign_in_links as l set used_at = now() where l.token_hash = v_link.token_hash;
  return auth.open_session(v_link.subdist_id, 'subdist');
end $$;
comment on function auth.redeem_link(text) is
  'Signs a sub-distributor in by the token of a link, once';
