-- job: point-queue
-- schedule: * * * * *
-- Vests the points of paid invoices.
call jobs.process_point_queue();
