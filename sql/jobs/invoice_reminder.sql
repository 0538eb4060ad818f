-- job: invoice-reminder
-- schedule: 7 * * * *
-- Reminds partners and agents of invoices that are due soon or overdue.
call jobs.remind_of_invoices();
