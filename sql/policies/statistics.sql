-- Statistics: no role reads the tables but through api.partner_statistics.

alter table app.statistics_period enable row level security;
alter table app.partner_closed_months enable row level security;
