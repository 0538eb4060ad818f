-- job: lease-reaper
-- schedule: * * * * *
-- Settles messages whose messenger died, and webhooks that were left lying.
select jobs.reap_leases();
