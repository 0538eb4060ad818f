-- Sub-distributors sign in by a single-use link that they receive over WhatsApp.
-- Errors are returned, not raised (app.refuse), because their counters must commit.

create function auth.request_link(p_whatsapp_number text)
returns json language plpgsql volatile
as $$
declare
  v_number text;
  v_minutes int := app.config_int('auth.link_minutes');
  v_wait int;
  v_subdist record;
  v_link record;
begin
  v_number := app.phone_number(
    'whatsapp_number', app.require_text('whatsapp_number', p_whatsapp_number, 60));
  if v_number is null then
    perform app.fail('INVALID_PHONE', 'whatsapp_number');
  end if;
  v_wait := auth.count_attempt(
    auth.attempt_key('link', v_number), app.config_int('auth.max_failures'));
  if v_wait is not null then
    return app.refuse('TOO_MANY_ATTEMPTS', p_retry_after_seconds => v_wait);
  end if;
  for v_subdist in
    select s.id from app.sub_distributors as s
    where s.whatsapp_number = v_number and s.status = 'ACTIVE' order by s.id
  loop
    select * into v_link from auth.new_code();
    insert into auth.sign_in_links (token_hash, subdist_id, expires_at)
    values (v_link.token_hash, v_subdist.id, now() + make_interval(mins => v_minutes));
    perform app.enqueue_messages(
      'sign_in_link', 'SUBDIST', array[v_subdist.id], null,
      jsonb_build_object('token', v_link.token, 'minutes', v_minutes), 'WHATSAPP',
      now() + make_interval(mins => v_minutes));
  end loop;
  -- The same answer for every number, so that callers cannot find out which numbers are registered.
  return json_build_object('sent', true, 'minutes', v_minutes);
end $$;
comment on function auth.request_link(text) is
  'Sends a single-use sign-in token to a sub-distributor over WhatsApp';

create function auth.redeem_link(p_token text)
returns json language plpgsql volatile
as $$
declare
  v_link auth.sign_in_links;
begin
  select * into v_link from auth.sign_in_links as l
  where l.token_hash = auth.token_hash(p_token) for no key update;
  if not found or v_link.used_at is not null or v_link.expires_at <= now()
    or not auth.subject_is_active(v_link.subdist_id, 'subdist')
  then
    return app.refuse('INVALID_LINK');
  end if;
  update auth.sign_in_links as l set used_at = now() where l.token_hash = v_link.token_hash;
  delete from auth.login_attempts as a where a.key = (
    select auth.attempt_key('link', s.whatsapp_number)
    from app.sub_distributors as s where s.id = v_link.subdist_id
  );
  return auth.open_session(v_link.subdist_id, 'subdist');
end $$;
comment on function auth.redeem_link(text) is
  'Signs a sub-distributor in by the token of a link, once';
