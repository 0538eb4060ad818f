-- Floor C of submit_order: the rows of an order, written by hand into the project's own tables.
-- Keys, foreign keys, checks and indexes stay; triggers and rules are gone. Runs after hub.sql on a
-- database of its own. The rows are copied from an order that the hub submits first, so this floor
-- follows the schema.

select bench.submit_order(1, array[1, 201, 401, 601, 801]);
reset role;
reset search_path;

do $$
declare
  v_trigger record;
begin
  for v_trigger in
    select t.tgname as name, t.tgrelid::regclass as table_name
    from pg_catalog.pg_trigger as t
    join pg_catalog.pg_class as c on c.oid = t.tgrelid
    where not t.tgisinternal and t.tgparentid = 0  -- internal: those of foreign keys
      and c.relnamespace in ('app'::regnamespace, 'auth'::regnamespace, 'jobs'::regnamespace)
  loop
    execute format('drop trigger %I on %s', v_trigger.name, v_trigger.table_name);
  end loop;
end $$;

-- The first row that meets the condition, each column as text.
create function bench.row_as_text(p_table regclass, p_condition text)
returns jsonb language plpgsql stable
as $$
declare
  v_columns text := (
    select string_agg(format('%L, t.%I::text', a.attname, a.attname), ', ')
    from pg_catalog.pg_attribute as a
    where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped
  );
  v_row jsonb;
begin
  execute format(
    'select jsonb_build_object(%s) from %s as t where %s limit 1', v_columns, p_table, p_condition
  ) into strict v_row;
  return v_row;
end $$;

-- The text of an INSERT of rows like p_row. p_values holds the expressions of the columns that
-- differ from order to order; the other columns get p_row's values as constants, times get now(),
-- and what the table makes itself (keys, order numbers, generated columns) is left to it.
create function bench.insert_like(
  p_table regclass, p_row jsonb, p_values jsonb, p_from text default ''
)
returns text language sql stable
as $$
  select format('insert into %s (%s) select %s %s', p_table,
    string_agg(format('%I', a.attname), ', ' order by a.attnum),
    string_agg(case
      when p_values ? a.attname::text then p_values ->> a.attname
      when a.atttypid = 'timestamptz'::regtype then 'now()'
      else format('%L::%s', p_row ->> a.attname, format_type(a.atttypid, a.atttypmod))
    end, ', ' order by a.attnum), p_from)
  from pg_catalog.pg_attribute as a
  left join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped
    and a.attgenerated = '' and a.attidentity = ''
    and (p_values ? a.attname::text or (
      p_row ->> a.attname is not null
      and coalesce(pg_get_expr(d.adbin, d.adrelid), '') not like '%(%'
    ))
$$;

-- The INSERT of one audit record that holds the order and its lines, as this schema stores rows.
create function bench.audit_statement() returns text
language sql stable
as $$
  select case
    when exists (
      select from pg_catalog.pg_attribute as a
      where a.attrelid = 'app.audit_buffer'::regclass and a.attname = 'order_rows'
    ) then
      'insert into app.audit_buffer (target_type, action, order_rows, line_rows, claims, actor_role)'
      ' values (''order_items'', ''INSERT'', array[v_order], v_lines, ''{}'', ''partner'')'
    when exists (
      select from pg_catalog.pg_attribute as a
      where a.attrelid = 'app.audit_buffer'::regclass and a.attname = 'line_rows'
    ) then
      'insert into app.audit_buffer (target_type, action, order_row, line_rows, claims, actor_role)'
      ' values (''order_items'', ''INSERT'', v_order, v_lines, ''{}'', ''partner'')'
    else
      'insert into app.audit_buffer (target_type, action, new_rows, claims, actor_role)'
      ' values (''orders'', ''INSERT'', json_build_array(v_order, v_lines), ''{}'', ''partner'')'
  end
$$;

do $do$
declare
  v_order jsonb := bench.row_as_text('app.orders', 'true');
  v_of_order text := format('order_id = %L', v_order ->> 'id');
  v_ids jsonb := '{"order_id": "v_order_id", "partner_id": "v_partner_id"}';
begin
  execute format($sql$
    -- p_products is sorted, so that concurrent orders lock stock in the same order.
    create function bench.write_order(p_partner int, p_products int[]) returns uuid
    language plpgsql volatile security definer
    as $body$
    declare
      v_partner_id uuid := bench.partner_id(p_partner);
      v_subdist_id uuid := bench.subdist_id(p_partner %% 50);
      v_product_ids uuid[] := array(select bench.product_id(n) from unnest(p_products) as n);
      v_order app.orders;
      v_order_id uuid;
      v_lines app.order_items[];
    begin
      update app.partners as p set credit_used = p.credit_used + 1000000, updated_at = now()
      where p.id = v_partner_id;
      %s returning * into v_order;
      v_order_id := v_order.id;
      with lines as (%s returning *)
      select array_agg(row(l.*)::app.order_items) into v_lines from lines as l;
      update app.inventory as s set reserved = s.reserved + 2
      where s.product_id = any (v_product_ids);
      %s;
      %s;
      %s;
      return v_order_id;
    end $body$
    $sql$,
    bench.insert_like('app.orders', v_order, v_ids - 'order_id' || '{
      "routed_to_subdist_id": "v_subdist_id", "idempotency_key": "gen_random_uuid()::text"}'),
    bench.insert_like('app.order_items',
      bench.row_as_text('app.order_items', v_of_order),
      v_ids || '{"product_id": "l.product_id"}',
      'from unnest(v_product_ids) as l (product_id)'),
    bench.insert_like('app.order_events',
      bench.row_as_text('app.order_events', v_of_order),
      v_ids || '{"actor_id": "v_partner_id"}'),
    bench.insert_like('app.messages',
      bench.row_as_text('app.messages', v_of_order),
      v_ids - 'partner_id' || '{"recipient_id": "v_subdist_id"}'),
    bench.audit_statement()
  );
end $do$;

-- In the context of a request, like the hub's own submission.
create function bench.submit_by_hand(p_partner int, p_products int[]) returns uuid
language plpgsql volatile
as $$
begin
  perform bench.set_request_context(p_partner);
  return bench.write_order(p_partner, p_products);
end $$;

create function bench.submit_long_by_hand(p_partner int, p_first int, p_lines int) returns uuid
language sql volatile
as $$
  select bench.submit_by_hand(
    p_partner, array(select generate_series(p_first, p_first + p_lines - 1)))
$$;
