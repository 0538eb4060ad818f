-- Limits on failed sign-ins, by account, number and address (D-3.config-9).

create function auth.attempt_key(p_kind text, p_value text) returns text language sql immutable
as $$ select p_kind || ':' || encode(sha256(convert_to(p_value, 'UTF8')), 'hex') $$;
comment on function auth.attempt_key(text, text) is
  'Key of login_attempts; e-mail addresses and numbers are stored as hashes only';

-- Counts before the caller checks, under the row's lock: concurrent guesses run one after another.
create function auth.count_attempt(p_key text, p_max int)
returns int language plpgsql volatile
as $$
declare
  v_max_counted constant int := 1000000;
  v_window interval := make_interval(mins => app.config_int('auth.failure_window_minutes'));
  v_attempt auth.login_attempts;
begin
  insert into auth.login_attempts as a (key, failures) values (p_key, 1)
  on conflict (key) do update set
    failures = case
      when a.window_started_at + v_window <= now() then 1
      else least(a.failures, v_max_counted) + 1
    end,
    window_started_at = case
      when a.window_started_at + v_window <= now() then now()
      else a.window_started_at
    end
  returning * into v_attempt;
  return case when v_attempt.failures > p_max
    then greatest(1, ceil(extract(epoch from
      v_attempt.window_started_at + v_window - now()))::int) end;
end $$;
comment on function auth.count_attempt(text, int) is
  'Counts an attempt; returns null up to p_max attempts in the window, afterwards the seconds to '
  'wait';

create function auth.address_wait(p_ip text)
returns int language sql stable
as $$
  select greatest(1, ceil(extract(epoch from
    a.window_started_at
    + make_interval(mins => app.config_int('auth.failure_window_minutes')) - now()))::int)
  from auth.login_attempts as a
  where a.key = 'ip:' || p_ip and a.failures >= app.config_int('auth.max_failures_per_address')
    and a.window_started_at
    + make_interval(mins => app.config_int('auth.failure_window_minutes')) > now()
$$;
comment on function auth.address_wait(text) is
  'Seconds that an address with too many failures has to wait, null otherwise';
