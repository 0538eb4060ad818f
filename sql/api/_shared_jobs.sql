-- Health of the scheduled jobs and ERP streams.

-- The owner's rights, on purpose: the schedule is nobody's row.
create view api.job_health with (security_invoker = false) as
select
  h.job, h.schedule, h.description, h.last_started_at, h.last_succeeded_at, h.last_rows, h.total_runs, h.seconds_since_success,
  h.last_failed_at, h.last_error, h.next_run_at, h.is_late
from jobs.health() as h;
comment on view api.job_health is $$Scheduled jobs and the streams of the ERP: when each last worked, its last error, its next run, whether it is late
Streams are the rows erp:products, erp:stock, erp:payments, erp:orders; they show once the ERP has used them.$$;
comment on column api.job_health.seconds_since_success is 'Lag: seconds since it last worked; null: it never has';
comment on column api.job_health.last_error is 'What the last failure said; it may lie before the last success';
comment on column api.job_health.next_run_at is 'When it is due next';
comment on column api.job_health.is_late is 'It should have worked by now';

grant select on api.job_health to admin;
