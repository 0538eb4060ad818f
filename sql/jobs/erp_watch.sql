-- job: erp-watch
-- schedule: * * * * *
-- Tells headquarters when the exchange with the ERP is late or keeps failing.
select jobs.check_erp_streams();
