-- The catalogue: brands, categories, products. Everyone signed in reads all of it; the view shows a
-- withdrawn product without its price. A condition here would keep the planner from searching names
-- by products_search_idx.

alter table app.brands enable row level security;
alter table app.categories enable row level security;
alter table app.products enable row level security;

grant select on app.brands, app.categories, app.products to partner, agent, admin, subdist;

create policy brands__select on app.brands for select to partner, agent, admin, subdist
using (true);
create policy categories__select on app.categories for select to partner, agent, admin, subdist
using (true);
create policy products__select on app.products for select to partner, agent, admin, subdist
using (true);
