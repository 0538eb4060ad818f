-- Every error of the hub: stable code, HTTP status, message, next step.
-- docs/reference/error-codes.md is generated from this list.

create function app.error_catalog()
returns table (code text, http_status int, message text, hint text, meaning text)
language sql immutable
as $$
  values
    ('INVALID_ITEMS', 400, 'The list of items is not valid',
      'Send items as [{"sku": "...", "quantity": 2}, ...] with whole quantities from 1 to 100000',
      'items is not an array of this form, is empty, has other keys, or comes to more than can be '
      'stored'),
    ('INVALID_ARGUMENT', 400, 'An argument is missing or not valid',
      'Correct the argument that details names',
      'Missing, too long, negative or not of the expected form'),
    ('UNAUTHENTICATED', 401, 'You are not signed in',
      'Sign in and send the access token',
      'The request has no token, or a token without a subject'),
    ('INVALID_CREDENTIALS', 401, 'The e-mail address or the password is wrong',
      'Check both and try again',
      'Inactive and deleted accounts get the same answer'),
    ('INVALID_REFRESH_TOKEN', 401, 'The refresh token is not valid',
      'Sign in again',
      'Unknown or expired, or its session or account is closed'),
    ('REFRESH_TOKEN_REUSED', 401, 'The refresh token was used before',
      'Sign in again',
      'Used again after 30 seconds, or after its successor was used: the session is closed'),
    ('INVALID_LINK', 401, 'The link or code is not valid',
      'Request a new one',
      'A code to sign in or to set a password is unknown, used or expired, or its account is '
      'not active'),
    ('ACCOUNT_INACTIVE', 401, 'This account is not active',
      'Ask headquarters to activate the account',
      'Deactivated, suspended or deleted since the token was issued'),
    ('SESSION_CLOSED', 401, 'This session is closed',
      'Sign in again, or start a new shadow session',
      'Logged out, revoked or expired, or the shadow session has ended'),
    ('CREDIT_LIMIT_EXCEEDED', 402, 'The order exceeds the credit limit',
      'Reduce the order, or pay open invoices first',
      'Only under credit.over_limit_policy BLOCK; details states by how much'),
    ('INVOICE_OVERDUE', 402, 'An invoice has been overdue for too long',
      'Pay the overdue invoices first',
      'Only under credit.over_limit_policy BLOCK, for invoices overdue for more than '
      'credit.max_overdue_days; details states the oldest due date'),
    ('NOT_ALLOWED', 403, 'You are not allowed to do this',
      'Use an account whose role and region permit it',
      'The caller''s role or region does not permit it'),
    ('NOT_FOUND', 404, 'There is no such record',
      'Check the id',
      'The id is unknown, or its record is not the caller''s; details names the kind of record'),
    ('CHOOSE_ROLE', 409, 'This e-mail address has several accounts',
      'Sign in again with one of the roles that details lists',
      'The password is right for a partner and for an agent; login takes the role as an argument'),
    ('PHONE_IN_USE', 409, 'This phone number belongs to another account',
      'Use another number, or ask headquarters',
      'A phone number identifies one partner'),
    ('IDEMPOTENCY_CONFLICT', 409, 'This idempotency key was used for another request',
      'Use a new key for a new request',
      'The same key came with another body'),
    ('PRICE_CHANGED', 409, 'The total has risen since it was quoted',
      'Show the new total and submit again with it as expected_total',
      'grand_total exceeds expected_total; details is the new quote as JSON text'),
    ('OUT_OF_STOCK', 409, 'There is not enough stock',
      'Reduce the quantities to what is left',
      'details lists the SKUs with the units left'),
    ('ILLEGAL_TRANSITION', 409, 'The order cannot move to that status',
      'Read the current status and decide again',
      'The status of the order or redemption does not permit it; details states both statuses'),
    ('ORDER_FROZEN', 409, 'A submitted order cannot be edited',
      'Cancel the order and submit a new one',
      'Lines, prices and totals freeze at submission'),
    ('NOT_RELEASABLE', 409, 'The order does not wait for a credit release',
      'Read the order again',
      'It is not over the limit, was released before, or is not SUBMITTED'),
    ('NOT_ROUTABLE', 409, 'The order cannot be routed',
      'Release the order first if it is over the limit',
      'It is a draft, shipped or closed, or waits for a credit release'),
    ('SUBDIST_UNAVAILABLE', 409, 'The sub-distributor takes no orders',
      'Choose an active sub-distributor',
      'The sub-distributor is suspended'),
    ('INVOICE_CLOSED', 409, 'The invoice cannot be paid or changed',
      'Read the invoice again',
      'It is paid or cancelled, or the change concerns what was billed; a cancelled one was '
      'cancelled for another reason'),
    ('PAYMENT_REFERENCE_REUSED', 409, 'This reference was recorded with another amount',
      'Check the reference and the amount',
      'A reference counts once per invoice; details states the recorded amount'),
    ('PAYMENT_REVERSED', 409, 'This payment was reversed before',
      'No further step is needed',
      'details states the reason; a payment of the ERP that equals a reversed one waits in the '
      'quarantine'),
    ('PAYMENT_NOT_REVERSIBLE', 409, 'The payment cannot be reversed',
      'Reverse a payment whose money was not refunded',
      'It is a reversal or a refund, or so much was refunded that less than it is left'),
    ('ALREADY_WRITTEN_OFF', 409, 'The invoice was written off before',
      'Read the invoice again',
      'An invoice is written off at most once; details states how much and why'),
    ('NOT_BILLABLE', 409, 'The order cannot be billed',
      'Approve the order first',
      'It is not approved yet, or was rejected or cancelled'),
    ('NOT_BILLED', 409, 'The order is not billed in full',
      'Issue the missing invoice first',
      'Orders are shipped and completed only while live invoices bill their whole amount; details '
      'states what is missing'),
    ('NOT_RETURNABLE', 409, 'Goods of this order cannot be returned',
      'Cancel or reject the order before it is shipped',
      'Only goods of shipped and completed orders come back'),
    ('PARTNER_NOT_SETTLED', 409, 'The partner cannot be removed yet',
      'Close the orders and settle the invoices first',
      'The partner owes money, is owed a refund, has open orders, or a message of theirs is being '
      'processed; details states which'),
    ('REWARD_UNAVAILABLE', 409, 'The reward is not available',
      'Choose another reward',
      'Out of stock or withdrawn'),
    ('ALREADY_ACKNOWLEDGED', 409, 'The escalation was acknowledged before',
      'No further step is needed',
      'details states when'),
    ('ERP_REFERENCE_CONFLICT', 409, 'The order was acknowledged with another ERP reference',
      'Compare both references in the ERP',
      'details states the recorded reference'),
    ('CONCURRENT_CHANGE', 409, 'Another change of master data is running',
      'Send the request again',
      'Changes of master data run one after another; this one waited as long as it may'),
    ('ERP_MAINTAINED', 409, 'The ERP maintains this value',
      'Change it in the ERP',
      'Config erp.kind names an ERP, whose next sync would undo the change'),
    ('PRICE_IN_FORCE', 409, 'The price cannot be changed any more',
      'End the period and enter a new one',
      'A period that has begun can be ended, nothing else; one that has ended cannot be changed'),
    ('LAST_SUPERADMIN', 409, 'The last active superadmin stays',
      'Make another agent a superadmin first',
      'Without a superadmin no one could manage agents'),
    ('APPEND_ONLY', 409, 'This record cannot be changed or deleted',
      'Record a correction instead',
      'Ledgers, histories and the audit trail are append-only for everyone'),
    ('UNKNOWN_SKU', 422, 'The order contains an unknown product',
      'Remove the products that details lists; update_draft removes them from a draft',
      'details lists the SKUs that do not exist or are withdrawn'),
    ('TOO_MANY_LINES', 422, 'The order has too many lines',
      'Split the order',
      'An order has at most order.max_lines different products'),
    ('POINTS_INSUFFICIENT', 422, 'There are not enough points',
      'Use at most the points of the balance',
      'details states the balance'),
    ('POINTS_EXCEED_TOTAL', 422, 'The points are worth more than the order',
      'Use fewer points',
      'Points pay at most the total after the quantity discount'),
    ('PAYMENT_EXCEEDS_DUE', 422, 'The payment exceeds what is due',
      'Record at most what is due',
      'details states what is due'),
    ('INVALID_PHONE', 422, 'This is not a phone number',
      'Send one number, such as 0812-3456-7890 or +65 6123 4567, without letters or extensions',
      'Letters, two numbers, an extension, or a length that no number has; details names the '
      'field'),
    ('INVOICE_EXCEEDS_ORDER', 422, 'The invoices would exceed the order',
      'Bill at most what is not billed yet',
      'details states what is not billed'),
    ('RETURN_EXCEEDS_SHIPPED', 422, 'More would be returned than was shipped',
      'Return at most the units that details lists',
      'details lists the SKUs with the units that can still be returned'),
    ('REFUND_EXCEEDS_DUE', 422, 'The refund exceeds what is due to the partner',
      'Record at most what is due to the partner',
      'details states refund_due of the invoice'),
    ('WRITE_OFF_TOO_LARGE', 422, 'Too much is due for a write-off',
      'Record the payment, or credit returned goods',
      'At most invoice.write_off_max can be written off; details states what is due'),
    ('PASSWORD_TOO_WEAK', 422, 'The password is too short or too long',
      'Choose a password of at least 10 characters and at most 72 bytes',
      'A password has at least 10 characters and at most 72 bytes'),
    ('UNKNOWN_CONFIG', 422, 'There is no such configuration key',
      'Choose a key that system_configs lists',
      'The key is not defined in app.config_definitions()'),
    ('INVALID_CONFIG_VALUE', 422, 'The configuration value is not valid',
      'Send a value that details describes',
      'details states what the key accepts'),
    ('INVALID_REGION', 422, 'The region cannot be placed there',
      'Choose a parent region that is not below it',
      'The region would be its own ancestor'),
    ('INVALID_CATEGORY', 422, 'The category cannot be placed there',
      'Choose a parent category that is not below it',
      'The category would be its own ancestor'),
    ('TOO_MANY_ATTEMPTS', 429, 'There were too many attempts',
      'Wait for the seconds that details and the Retry-After header state',
      'Too many failed attempts of one account, device, number or address')
$$;
comment on function app.error_catalog() is
  'All errors of the hub: stable code, HTTP status, message, hint, meaning';

-- PostgREST turns SQLSTATE PGRST into an answer with this status and body.
create function app.fail(p_code text, p_details text default null, p_hint text default null)
returns void language plpgsql stable
as $$
declare
  v_error record;
begin
  select * into strict v_error from app.error_catalog() as e where e.code = p_code;
  raise sqlstate 'PGRST' using
    message = json_build_object(
      'code', v_error.code, 'message', v_error.message, 'details', p_details,
      'hint', coalesce(p_hint, v_error.hint)),
    detail = json_build_object('status', v_error.http_status, 'headers', json_build_object());
end $$;
comment on function app.fail(text, text, text) is
  'Raises the error of this code in app.error_catalog(); never returns';

-- For errors whose transaction must commit, because it counts a failure or revokes a session: an
-- exception would undo that.
create function app.refuse(
  p_code text, p_details text default null, p_retry_after_seconds int default null
)
returns json language plpgsql volatile
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
  return json_build_object(
    'code', v_error.code, 'message', v_error.message,
    'details', coalesce('retry_after: ' || p_retry_after_seconds, p_details),
    'hint', v_error.hint);
end $$;
comment on function app.refuse(text, text, int) is
  'Returns the body of an error whose transaction commits, and sets the HTTP status; seconds to '
  'wait go into Retry-After and, for browsers, into details';

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
comment on function app.require_text(text, text, int, int) is
  'Returns the trimmed text; raises INVALID_ARGUMENT when it is missing or too long';

create function app.optional_text(p_name text, p_value text, p_max int)
returns text language plpgsql stable
as $$
begin
  if length(p_value) > p_max then
    perform app.fail('INVALID_ARGUMENT', format('%s is longer than %s characters', p_name, p_max));
  end if;
  return nullif(btrim(p_value), '');
end $$;
comment on function app.optional_text(text, text, int) is
  'Returns the trimmed text, null when it is blank; raises INVALID_ARGUMENT when it is too long';

create function app.optional_timestamp(p_name text, p_value timestamptz)
returns timestamptz language plpgsql stable
as $$
begin
  if p_value not between '2000-01-01T00:00:00Z' and now() + interval '1 year' then
    perform app.fail('INVALID_ARGUMENT',
      format('%s is before the year 2000 or more than a year ahead', p_name));
  end if;
  return p_value;
end $$;
comment on function app.optional_timestamp(text, timestamptz) is
  'Returns the time or null; raises INVALID_ARGUMENT when it is implausible, such as infinity or '
  'year 9999';
