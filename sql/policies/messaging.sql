-- Messages: headquarters reads the outbox without its variables. Row security without a policy
-- hides the inbox from every role.

alter table app.inbound_messages enable row level security;
alter table app.inbound_events enable row level security;
alter table app.conversations enable row level security;
alter table app.messages enable row level security;
alter table app.purged_provider_ids enable row level security;
alter table app.messages_period enable row level security;

-- no role reads variables, which may contain a sign-in token
grant select (
  id, template, channel, recipient_type, recipient_id, order_id, status, attempts,
  next_attempt_at, lease_until, provider_id,
  error_code, sent_at, delivered_at, created_at, priority, expires_at, unknown_since, repeats,
  request_id
) on app.messages to admin;

create policy messages__admin_select on app.messages for select to admin using (true);
