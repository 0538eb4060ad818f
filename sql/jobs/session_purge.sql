-- job: session-purge
-- schedule: 27 1 * * *
-- Deletes old sign-in attempts, links and conversations.
select jobs.purge_sessions();
