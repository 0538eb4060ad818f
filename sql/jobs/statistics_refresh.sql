-- job: statistics-refresh
-- schedule: */15 * * * *
-- Refreshes the monthly statistics of partners.
select jobs.refresh_statistics();
