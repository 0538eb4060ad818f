-- Phase 3, steps 3 and 5 (M-7.3-3, M-7.3-5): shadow sessions and the partners' notifications.

create table app.agent_sessions (
  id uuid primary key default app.uuid_v7(),
  agent_id uuid not null
  constraint agent_sessions_agent_id_fkey references app.agents (id) on delete restrict,
  impersonated_partner_id uuid not null
  constraint agent_sessions_impersonated_partner_id_fkey
  references app.partners (id) on delete restrict,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  ip_address varchar(45),
  expires_at timestamptz not null,
  constraint agent_sessions_period_check check (ended_at >= started_at and expires_at > started_at)
);
create index agent_sessions_open_idx on app.agent_sessions (agent_id) where ended_at is null;
create index agent_sessions_agent_idx on app.agent_sessions (agent_id, started_at);
create index agent_sessions_started_idx on app.agent_sessions (started_at);
create index agent_sessions_partner_idx on app.agent_sessions (impersonated_partner_id);
comment on table app.agent_sessions is 'Shadow sessions: an agent acts for a partner';
comment on column app.agent_sessions.expires_at is
  'End of the session''s token, unless ended_at is earlier';
comment on column app.agent_sessions.ip_address is '[pii: address]';

create domain app.shadow_act as varchar(20)
constraint shadow_act_check check (value in ('ORDER', 'CANCELLATION', 'DRAFT', 'REDEMPTION'));
comment on domain app.shadow_act is
  'What an agent did for a partner: submitted or cancelled an order, saved a draft, redeemed a '
  'reward';

create table app.impersonation_notifications (
  id uuid primary key default app.uuid_v7(),
  agent_session_id uuid not null
  constraint impersonation_notifications_agent_session_id_fkey
  references app.agent_sessions (id) on delete restrict,
  order_id uuid
  constraint impersonation_notifications_order_id_fkey
  references app.orders (id) on delete restrict,
  channel app.notification_channel_enum not null default 'WHATSAPP',
  status app.notification_status_enum not null default 'PENDING',
  sent_at timestamptz,
  created_at timestamptz not null default now(),
  act app.shadow_act not null,
  redemption_id uuid
  constraint impersonation_notifications_redemption_id_fkey
  references app.redemptions (id) on delete restrict,
  constraint impersonation_notifications_subject_check
  check (case act when 'REDEMPTION' then redemption_id else order_id end is not null)
);
create index impersonation_notifications_created_idx
on app.impersonation_notifications (created_at);
create index impersonation_notifications_session_idx
on app.impersonation_notifications (agent_session_id);
create index impersonation_notifications_order_idx on app.impersonation_notifications (order_id);
create index impersonation_notifications_redemption_idx
on app.impersonation_notifications (redemption_id) where redemption_id is not null;
comment on table app.impersonation_notifications is
  'Notifications to partners of each thing that an agent did for them; by e-mail where WhatsApp '
  'fails [pii: none]';
