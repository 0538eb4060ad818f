-- Phase 3, step 5: notices to partners about orders placed in their name.

create table app.impersonation_notifications (
  id uuid primary key default app.uuid_v7(),
  agent_session_id uuid not null
  constraint impersonation_notifications_agent_session_id_fkey references app.agent_sessions (id) on delete restrict,
  order_id uuid not null
  constraint impersonation_notifications_order_id_fkey references app.orders (id) on delete restrict,
  channel app.notification_channel_enum not null default 'WHATSAPP',
  status app.notification_status_enum not null default 'PENDING',
  sent_at timestamptz,
  created_at timestamptz not null default now()
);
create index impersonation_notifications_session_idx on app.impersonation_notifications (agent_session_id);
create index impersonation_notifications_order_idx on app.impersonation_notifications (order_id);
comment on table app.impersonation_notifications is 'A partner is told of each order that an agent placed in his name; by e-mail where WhatsApp fails';
