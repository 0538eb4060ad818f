-- job: audit-flush
-- schedule: * * * * *
-- Moves buffered changes into the audit trail.
call jobs.flush_audit();
