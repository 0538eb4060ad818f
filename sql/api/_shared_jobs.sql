-- Health of the scheduled jobs, of the ERP streams and of the standbys.

-- Runs with the owner's rights: the schedule has no row security; jobs.health() checks the role.
create view api.job_health with (security_invoker = false) as
select
  h.job as id, h.job, h.schedule, h.description, h.last_started_at, h.last_succeeded_at,
  h.last_rows, h.total_runs, h.seconds_since_success, h.last_failed_at, h.last_error,
  h.next_run_at, h.is_late, h.backlog, h.backlog_seconds, h.failing,
  h.last_remarks, h.last_remarked_at
from jobs.health() as h;
comment on view api.job_health is
$$Jobs, ERP streams and standbys: last success, last error, next run, whether late, backlog
ERP streams are the rows erp:products, erp:stock, erp:payments and erp:orders.
A stream is listed once the ERP has used it. A standby is the row standby:NAME, with its lag in
backlog (bytes) and backlog_seconds; without a standby there is no such row.$$;
comment on column api.job_health.seconds_since_success is
  'Lag: seconds since the last success; null: it has never succeeded';
comment on column api.job_health.last_error is
  'Error of the last failure, which may be older than the last success';
comment on column api.job_health.next_run_at is 'When the next run is due';
comment on column api.job_health.is_late is 'True: a success is overdue';
comment on column api.job_health.backlog is
  'Entries that wait for the job, approximately or up to 10,000; null: the job has no queue; of a '
  'standby: bytes of WAL that it has not replayed';
comment on column api.job_health.backlog_seconds is
  'Age of the oldest entry that waits, 0 when none does; of a standby: seconds that it is behind';
comment on column api.job_health.failing is
  'Entries that failed and are tried again later; last_error shows the last';
comment on column api.job_health.last_remarks is
  'Of an ERP stream: what its last run with remarks remarked, such as skipped rows';
comment on column api.job_health.last_remarked_at is 'When those remarks were reported';

grant select on api.job_health to admin;
