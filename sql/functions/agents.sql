-- Agents: the distributor's own staff.

create trigger _100_normalise_phone before insert or update of phone on app.agents
for each row execute function app.tg_normalise_phone();
create trigger _900_touch before update on app.agents
for each row execute function app.tg_touch_updated_at();
