-- job: session-purge
-- schedule: 27 1 * * *
-- Deletes old sign-in attempts, links, codes and conversations.
call jobs.purge_sign_ins();
