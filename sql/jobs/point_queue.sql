-- job: point-queue
-- schedule: * * * * *
-- Vests the points of paid invoices.
select jobs.process_point_queue();
