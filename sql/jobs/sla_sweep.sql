-- job: sla-sweep
-- schedule: * * * * *
-- Reminds and escalates when a sub-distributor has not answered in time.
select jobs.sweep_service_level();
