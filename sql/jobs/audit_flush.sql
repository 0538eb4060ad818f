-- job: audit-flush
-- schedule: * * * * *
-- Moves buffered changes into the audit trail.
select jobs.flush_audit();
