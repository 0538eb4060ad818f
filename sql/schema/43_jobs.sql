-- The schedule of the jobs and their last runs (D-6.cron-1 to D-6.cron-4).

create table jobs.schedule (
  job text primary key,
  schedule text not null,
  command text not null,
  description text not null,
  scheduled_at timestamptz not null default now()
);
comment on table jobs.schedule is
  'Jobs of sql/jobs as "hub migrate" last scheduled them with pg_cron [pii: none]';
comment on column jobs.schedule.schedule is 'Cron expression, GMT';
comment on column jobs.schedule.scheduled_at is
  'When the job was scheduled; a job that never ran counts as late from this time on';

create table jobs.runs (
  job text primary key,
  last_started_at timestamptz not null,
  last_succeeded_at timestamptz not null,
  last_rows bigint not null default 0,
  total_runs bigint not null default 0
);
comment on table jobs.runs is
  'Last success of each job, written by the job in its own transaction [pii: none]';
comment on column jobs.runs.last_rows is 'Rows that the last run processed';
