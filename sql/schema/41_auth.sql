-- Sign-in (D-5.anon-1 to D-5.all-3). No caller's role has any right on these tables.

create table auth.jwt_secret (
  singleton boolean primary key default true
  constraint jwt_secret_singleton_check check (singleton),
  secret text not null constraint jwt_secret_length_check check (length(secret) >= 32),
  previous_secret text,
  previous_until timestamptz,
  constraint jwt_secret_previous_check
  check ((previous_secret is null) = (previous_until is null))
);
comment on table auth.jwt_secret is
  'HS256 key that signs tokens: written by "hub migrate" from the environment, read by functions '
  'only';
comment on column auth.jwt_secret.previous_secret is
  'The key before it, null unless a rotation is under way: what was derived from it is recognised '
  '[pii: secret]';
comment on column auth.jwt_secret.previous_until is
  'When the tokens that it signed have expired';
comment on column auth.jwt_secret.secret is '[pii: secret]';

create table auth.sessions (
  id uuid primary key default app.uuid_v7(),
  subject_id uuid not null,
  role name not null,
  ip_address varchar(45),
  user_agent varchar(300),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz,
  revoked_reason varchar(50)
);
create index sessions_subject_idx on auth.sessions (subject_id) where revoked_at is null;
create index sessions_ended_idx on auth.sessions (least(expires_at, revoked_at));
comment on table auth.sessions is
  'Sign-in sessions, named by the token''s claim "sid"; the tokens of a revoked session are '
  'refused at once';
comment on column auth.sessions.subject_id is 'Id of the partner, agent or sub-distributor';
comment on column auth.sessions.role is '[pii: none]';
comment on column auth.sessions.ip_address is '[pii: address]';
comment on column auth.sessions.user_agent is '[pii: address]';
comment on column auth.sessions.revoked_reason is '[pii: none]';

create table auth.refresh_tokens (
  token_hash bytea primary key,
  session_id uuid not null
  constraint refresh_tokens_session_id_fkey references auth.sessions (id) on delete cascade,
  created_at timestamptz not null default now(),
  used_at timestamptz
);
create index refresh_tokens_session_idx on auth.refresh_tokens (session_id);
comment on table auth.refresh_tokens is
  'SHA-256 of refresh tokens: each is exchanged once, for a token that is derived from it';
comment on column auth.refresh_tokens.token_hash is '[pii: secret]';

create table auth.login_attempts (
  key text primary key,
  failures int not null default 0,
  window_started_at timestamptz not null default now()
);
create index login_attempts_window_idx on auth.login_attempts (window_started_at);
comment on table auth.login_attempts is
  'Sign-in attempts in the running window, by e-mail, account, address or number';
comment on column auth.login_attempts.key is
  'email:<sha256>, device:<sha256>, password:<sha256>, reset:<sha256>, ip:<address>, '
  'reset-ip:<address> or link-ip:<address>; of an IPv6 address its /64 [pii: address]';

create table auth.sign_in_links (
  token_hash bytea primary key,
  subdist_id uuid not null
  constraint sign_in_links_subdist_id_fkey references app.sub_distributors (id) on delete cascade,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz
);
create index sign_in_links_subdist_idx on auth.sign_in_links (subdist_id);
create index sign_in_links_expires_idx on auth.sign_in_links (expires_at);
comment on table auth.sign_in_links is
  'Single-use sign-in links sent to sub-distributors over WhatsApp; only the SHA-256 is stored';
comment on column auth.sign_in_links.token_hash is '[pii: secret]';

create table auth.password_codes (
  token_hash bytea primary key,
  partner_id uuid
  constraint password_codes_partner_id_fkey references app.partners (id) on delete cascade,
  agent_id uuid
  constraint password_codes_agent_id_fkey references app.agents (id) on delete cascade,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  constraint password_codes_account_check check (num_nonnulls(partner_id, agent_id) = 1)
);
create index password_codes_partner_idx on auth.password_codes (partner_id);
create index password_codes_agent_idx on auth.password_codes (agent_id);
create index password_codes_expires_idx on auth.password_codes (expires_at);
comment on table auth.password_codes is
  'Single-use codes for a first or a forgotten password, sent to partners and agents; only the '
  'SHA-256 is stored';
comment on column auth.password_codes.token_hash is '[pii: secret]';

create type auth.refusal as (code text, details text, hint text);
comment on type auth.refusal is 'Why a caller is refused: an error of app.error_catalog()';
