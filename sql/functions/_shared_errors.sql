-- Every refusal of the hub: its stable code, its HTTP status, its message. docs/error-codes.md is made from this list.

create function app.error_catalog()
returns table (code text, http_status int, message text, meaning text)
language sql immutable
as $$
  values
    ('INVALID_ITEMS', 400, 'The items are not valid',
      'items is not an array of {"sku": text, "quantity": whole number from 1 to 100000}, or is empty'),
    ('INVALID_ARGUMENT', 400, 'An argument is not valid', 'Missing, too long, negative or not of the expected form; details names it'),
    ('UNAUTHENTICATED', 401, 'Sign in first', 'No token, or one without a subject'),
    ('INVALID_CREDENTIALS', 401, 'E-mail or password is wrong', 'Also for accounts that are inactive or deleted'),
    ('INVALID_REFRESH_TOKEN', 401, 'The refresh token is not valid', 'Unknown or expired; sign in again'),
    ('REFRESH_TOKEN_REUSED', 401, 'The refresh token was used before',
      'Each refresh token is good once; its session is closed now, sign in again'),
    ('INVALID_LINK', 401, 'The sign-in link is not valid', 'Unknown, used or expired; ask for a new one'),
    ('ACCOUNT_INACTIVE', 401, 'This account is not active', 'Deactivated, suspended or deleted since the token was issued'),
    ('SESSION_CLOSED', 401, 'This session is closed', 'Logged out, revoked, or the shadow session has ended'),
    ('CREDIT_LIMIT_EXCEEDED', 402, 'The order exceeds the credit limit',
      'Only under credit.over_limit_policy BLOCK; details tells by how much'),
    ('NOT_ALLOWED', 403, 'This is not allowed to you', 'The caller''s role or region does not permit it'),
    ('NOT_FOUND', 404, 'There is no such record', 'Unknown id, or a record of somebody else'),
    ('IDEMPOTENCY_CONFLICT', 409, 'This idempotency key was used for another request', 'Use a fresh key for a new request'),
    ('OUT_OF_STOCK', 409, 'Not enough stock', 'details lists the SKUs with what is left'),
    ('ILLEGAL_TRANSITION', 409, 'The order cannot change so', 'The order''s state does not permit it; details tells both states'),
    ('ORDER_FROZEN', 409, 'A submitted order cannot be edited', 'Lines, prices and totals freeze at submission'),
    ('NOT_RELEASABLE', 409, 'The order does not wait for a release', 'It is not over the limit, was released before, or is not SUBMITTED'),
    ('NOT_ROUTABLE', 409, 'The order cannot be routed', 'It is neither SUBMITTED nor PROCESSING, or waits for a credit release'),
    ('SUBDIST_UNAVAILABLE', 409, 'The sub-distributor takes no orders', 'It is suspended'),
    ('INVOICE_CLOSED', 409, 'The invoice takes no payment', 'It is paid or cancelled'),
    ('PAYMENT_REFERENCE_REUSED', 409, 'This reference was recorded with another amount', 'The same reference on the same invoice counts once'),
    ('REWARD_UNAVAILABLE', 409, 'The reward is not available', 'Out of stock or withdrawn'),
    ('ALREADY_ACKNOWLEDGED', 409, 'The escalation was acknowledged before', 'details tells when'),
    ('ERP_REFERENCE_CONFLICT', 409, 'The order was acknowledged with another ERP reference', 'details tells which'),
    ('APPEND_ONLY', 409, 'This record cannot be changed', 'Ledgers and trails are append-only, for everybody'),
    ('UNKNOWN_SKU', 422, 'Unknown product', 'details lists the SKUs that are not sold'),
    ('TOO_MANY_LINES', 422, 'Too many lines', 'An order has at most order.max_lines different products'),
    ('POINTS_INSUFFICIENT', 422, 'Not enough points', 'details tells the balance'),
    ('POINTS_EXCEED_TOTAL', 422, 'More points than the order is worth', 'Points pay at most the total after discount'),
    ('PAYMENT_EXCEEDS_DUE', 422, 'The payment is more than what is due', 'details tells what is due'),
    ('PASSWORD_TOO_WEAK', 422, 'The password is too short or too long', 'At least 10 characters, at most 72 bytes'),
    ('UNKNOWN_CONFIG', 422, 'There is no such configuration', 'See app.config_definitions() for the keys'),
    ('INVALID_CONFIG_VALUE', 422, 'The configuration value is not valid', 'details tells what the key takes'),
    ('INVALID_REGION', 422, 'The region cannot be placed there', 'A region would be its own ancestor'),
    ('TOO_MANY_ATTEMPTS', 429, 'Too many attempts', 'Wait for the time in Retry-After')
$$;
comment on function app.error_catalog() is 'All refusals: stable code, HTTP status, message, meaning';

-- PostgREST turns SQLSTATE PGRST into an answer with this status and body.
create function app.fail(p_code text, p_details text default null, p_hint text default null)
returns void language plpgsql stable set search_path = ''
as $$
declare
  v_error record;
begin
  select * into strict v_error from app.error_catalog() as e where e.code = p_code;
  raise sqlstate 'PGRST' using
    message = json_build_object('code', v_error.code, 'message', v_error.message, 'details', p_details, 'hint', p_hint),
    detail = json_build_object('status', v_error.http_status, 'headers', json_build_object());
end $$;
comment on function app.fail(text, text, text) is 'Raises the refusal with this code of app.error_catalog(); never returns';

-- For refusals that must leave a trace (a counted failure, a revoked session): an exception would undo it.
create function app.refuse(p_code text, p_details text default null, p_retry_after_seconds int default null)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_error record;
begin
  select * into strict v_error from app.error_catalog() as e where e.code = p_code;
  perform set_config('response.status', v_error.http_status::text, true);
  if p_retry_after_seconds is not null then
    perform set_config('response.headers',
      json_build_array(json_build_object('Retry-After', p_retry_after_seconds::text))::text, true);
  end if;
  return json_build_object('code', v_error.code, 'message', v_error.message, 'details', p_details, 'hint', null);
end $$;
comment on function app.refuse(text, text, int) is
  'The body of a refusal whose transaction commits; sets the HTTP status and, in seconds, Retry-After';

create function app.require_text(p_name text, p_value text, p_max int, p_min int default 1)
returns text language plpgsql stable
as $$
begin
  if p_value is null or length(btrim(p_value)) < p_min then
    perform app.fail('INVALID_ARGUMENT', format('%s is missing', p_name));
  elsif length(p_value) > p_max then
    perform app.fail('INVALID_ARGUMENT', format('%s is longer than %s characters', p_name, p_max));
  end if;
  return btrim(p_value);
end $$;
comment on function app.require_text(text, text, int, int) is 'The trimmed text, or INVALID_ARGUMENT when it is missing or too long';

create function app.optional_text(p_name text, p_value text, p_max int)
returns text language plpgsql stable
as $$
begin
  if length(p_value) > p_max then
    perform app.fail('INVALID_ARGUMENT', format('%s is longer than %s characters', p_name, p_max));
  end if;
  return nullif(btrim(p_value), '');
end $$;
comment on function app.optional_text(text, text, int) is 'The trimmed text or null, or INVALID_ARGUMENT when it is too long';

create function app.optional_timestamp(p_name text, p_value timestamptz)
returns timestamptz language plpgsql stable set search_path = ''
as $$
begin
  if p_value not between '2000-01-01T00:00:00Z' and now() + interval '1 year' then
    perform app.fail('INVALID_ARGUMENT', format('%s is before the year 2000 or more than a year ahead', p_name));
  end if;
  return p_value;
end $$;
comment on function app.optional_timestamp(text, timestamptz) is 'The moment or null, or INVALID_ARGUMENT when it is out of this world: infinity, year 9999';
