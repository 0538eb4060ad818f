-- job: history-purge
-- schedule: 37 1 * * *
-- Keeps a week of the scheduler's own history.
select jobs.purge_cron_history();
