-- Statistics: no role reads the tables but through the views and calls of schema api.

alter table app.statistics_period enable row level security;
alter table app.partner_counted_months enable row level security;
alter table app.region_late_months enable row level security;
