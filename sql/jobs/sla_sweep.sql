-- job: sla-sweep
-- schedule: * * * * *
-- Reminds and escalates where a sub-distributor has not answered in time.
select jobs.sweep_service_level();
