-- job: erp-watch
-- schedule: * * * * *
-- Notifies headquarters when the exchange with the ERP is late or keeps failing.
select jobs.check_erp_streams();
