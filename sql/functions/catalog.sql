-- The catalogue.

create trigger _900_touch before update on app.products
for each row execute function app.tg_touch_updated_at();
