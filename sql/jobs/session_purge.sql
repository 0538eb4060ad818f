-- job: session-purge
-- schedule: 27 1 * * *
-- Forgets sessions, sign-in attempts and links of long ago.
select jobs.purge_sessions();
