-- The floor of submit_order: the cost of PostgreSQL itself for an order of some lines, without any
-- business rule. Integer keys, foreign keys, five statements in one plain PL/pgSQL function. The
-- benchmark compares submit_order with it; see docs/operations/performance.md.

create schema floor;

-- Every order updates these two tables: half-empty pages keep the updates heap-only.
create table floor.partner (
  id int primary key,
  credit_limit numeric(15, 2) not null,
  credit_used numeric(15, 2) not null default 0 check (credit_used <= credit_limit)
) with (fillfactor = 50);

create table floor.product (
  id int primary key,
  name text not null,
  price numeric(15, 2) not null
);

create table floor.stock (
  product_id int primary key references floor.product (id),
  qty int not null check (qty >= 0)
) with (fillfactor = 50);

create table floor.orders (
  id bigint generated always as identity primary key,
  partner_id int not null references floor.partner (id),
  total numeric(15, 2) not null,
  created_at timestamptz not null default now()
);
create index orders_partner_created_idx on floor.orders (partner_id, created_at desc);

create table floor.order_line (
  order_id bigint not null references floor.orders (id),
  line int not null,
  product_id int not null references floor.product (id),
  quantity int not null,
  price numeric(15, 2) not null,
  primary key (order_id, line)
);

create table floor.audit (
  id bigint generated always as identity primary key,
  created_at timestamptz not null default now(),
  entry jsonb not null
);

insert into floor.partner (id, credit_limit) select i, 1e12 from generate_series(1, 1000) as i;
insert into floor.product (id, name, price)
select i, 'Product ' || i, 10000 + 10 * i from generate_series(1, 1000) as i;
insert into floor.stock (product_id, qty)
select i, 1000000000 from generate_series(1, 1000) as i;

-- p_products is sorted, so that concurrent orders lock stock in the same order.
create function floor.submit_order(p_partner int, p_products int[]) returns bigint
language plpgsql volatile
as $$
declare
  v_order bigint;
begin
  update floor.partner as p set credit_used = p.credit_used + 100000 where p.id = p_partner;
  insert into floor.orders (partner_id, total) values (p_partner, 100000) returning id into v_order;
  insert into floor.order_line (order_id, line, product_id, quantity, price)
  select v_order, l.line, l.product_id, 2, 10000
  from unnest(p_products) with ordinality as l (product_id, line);
  update floor.stock as s set qty = s.qty - 2 where s.product_id = any (p_products);
  insert into floor.audit (entry)
  values (jsonb_build_object('action', 'order', 'order', v_order, 'partner', p_partner));
  return v_order;
end $$;

create function floor.submit_long_order(p_partner int, p_first int, p_lines int) returns bigint
language sql volatile
as $$
  select floor.submit_order(
    p_partner, array(select generate_series(p_first, p_first + p_lines - 1)))
$$;
