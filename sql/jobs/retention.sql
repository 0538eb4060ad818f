-- job: retention
-- schedule: 47 1 * * *
-- Purges messages, webhooks, sessions and months of the audit trail after the time they are kept.
call jobs.purge_expired();
