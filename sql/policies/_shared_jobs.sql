-- Jobs: no role reads the schedule and the runs but through functions.

alter table jobs.schedule enable row level security;
alter table jobs.runs enable row level security;
