-- The schedule and its runs are reached through functions only.

alter table jobs.schedule enable row level security;
alter table jobs.runs enable row level security;
