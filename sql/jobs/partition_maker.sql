-- job: partition-maker
-- schedule: 17 0 * * *
-- Keeps monthly partitions of the audit trail three months ahead.
select jobs.make_partitions();
