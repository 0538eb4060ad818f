-- job: lease-reaper
-- schedule: * * * * *
-- Settles messages whose lease expired, and processes webhooks that were left over.
select jobs.reap_leases();
