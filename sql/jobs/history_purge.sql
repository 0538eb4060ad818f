-- job: history-purge
-- schedule: 37 1 * * *
-- Deletes pg_cron's own history after a week.
call jobs.purge_cron_history();
