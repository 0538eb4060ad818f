-- job: catalogue-store
-- schedule: * * * * *
-- Stores the catalogue of each price list as changed, so that requests need not build it.
select jobs.store_catalogue();
