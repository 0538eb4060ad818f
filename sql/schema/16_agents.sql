-- Phase 1, step 5 (M-7.1-5): agents, the distributor's own staff.

create table app.agents (
  id uuid primary key default app.uuid_v7(),
  email app.email not null constraint agents_email_key unique,
  password_hash varchar(255) not null default '!',
  full_name app.label not null,
  phone varchar(20),
  role app.agent_role_enum not null default 'SALESMAN',
  region_id uuid constraint agents_region_id_fkey references app.regions (id),
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index agents_region_idx on app.agents (region_id);
comment on table app.agents is 'Sales agents and headquarters staff. PII';
comment on column app.agents.password_hash is
  'bcrypt hash, "!" until the agent chooses a password; no caller''s role can read it '
  '[pii: secret]';
comment on column app.agents.role is
  'SALESMAN serves the agent''s region and those below it; ADMIN and SUPERADMIN are headquarters '
  '[pii: none]';
comment on column app.agents.id is '[pii: none]';
comment on column app.agents.email is '[pii: contact]';
comment on column app.agents.full_name is '[pii: name]';
comment on column app.agents.phone is '[pii: contact]';
comment on column app.agents.region_id is '[pii: none]';
comment on column app.agents.is_active is '[pii: none]';
comment on column app.agents.created_at is '[pii: none]';
comment on column app.agents.updated_at is '[pii: none]';
