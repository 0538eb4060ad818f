-- Phase 3, step 6 (M-7.3-6): configuration that changes without a deployment.

create table app.system_configs (
  id uuid primary key default app.uuid_v7(),
  config_key varchar(100) not null constraint system_configs_config_key_key unique,
  config_value jsonb not null,
  description varchar(500),
  updated_by uuid
  constraint system_configs_updated_by_fkey references app.agents (id) on delete restrict,
  version int not null default 1 constraint system_configs_version_check check (version > 0),
  updated_at timestamptz not null default now()
);
comment on table app.system_configs is
  'Settings that rules read at run time; app.config_definitions() lists the keys and their types';
comment on column app.system_configs.config_value is 'JSON value, validated by key on writing';
comment on column app.system_configs.version is 'Number of changes of this key, starting at 1';

create table app.system_config_history (
  id bigint generated always as identity primary key,
  config_key varchar(100) not null,
  version int not null,
  old_value jsonb,
  new_value jsonb,
  changed_by uuid,
  changed_at timestamptz not null default now(),
  constraint system_config_history_version_key unique (config_key, version)
);
comment on table app.system_config_history is 'Every value that a config has had; append-only';
comment on column app.system_config_history.changed_by is
  'Id of the agent, null for a change by migration or psql';
