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
  'Settings that rules read at run time; app.config_definitions() lists the keys and their types '
  '[pii: none]';
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
comment on table app.system_config_history is
  'Every value that a config has had; append-only [pii: none]';
comment on column app.system_config_history.changed_by is
  'Id of the agent, null for a change by migration or psql';

create table app.order_rules (
  tier app.tier_enum primary key,
  point_multiplier numeric not null,
  rupiah_per_point numeric not null,
  point_value_rupiah numeric not null,
  minimum_threshold numeric not null,
  over_limit_policy text not null,
  max_overdue_days int not null,
  max_lines int not null,
  due_days int not null,
  snapshot jsonb not null
);
comment on table app.order_rules is
  'The configs that decide an order, one row for each tier, so that a submission reads one row; '
  'derived from system_configs by trigger [pii: none]';
comment on column app.order_rules.snapshot is
  'Values and versions of these configs as orders pin them in rules_applied';
