-- What the ERP tells and takes. Sets in, sets out; each call may be repeated.

create function app.require_set(p_name text, p_set jsonb, p_max int)
returns void language plpgsql stable set search_path = ''
as $$
begin
  if jsonb_typeof(p_set) is distinct from 'array' or jsonb_array_length(p_set) > p_max
    or exists (select from jsonb_array_elements(p_set) as e where jsonb_typeof(e) <> 'object')
  then
    perform app.fail('INVALID_ARGUMENT', format('%s is an array of at most %s objects', p_name, p_max));
  end if;
end $$;
comment on function app.require_set(text, jsonb, int) is 'Raises INVALID_ARGUMENT unless the argument is an array of objects';

create function app.erp_apply_stock(p_levels jsonb)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_ids uuid[];
  v_applied int;
begin
  perform app.require_set('levels', p_levels, 100000);
  if exists (
    select from jsonb_array_elements(p_levels) as l
    where jsonb_typeof(l -> 'sku') is distinct from 'string' or jsonb_typeof(l -> 'quantity') is distinct from 'number'
      or case when jsonb_typeof(l -> 'quantity') = 'number' then abs((l ->> 'quantity')::numeric) > 1000000000 end
  ) then
    perform app.fail('INVALID_ARGUMENT', 'levels is [{"sku": "...", "quantity": 12}, ...]');
  end if;
  select array_agg(p.id) into v_ids
  from app.products as p where p.sku in (select l ->> 'sku' from jsonb_array_elements(p_levels) as l);
  insert into app.inventory (product_id) select unnest(v_ids) on conflict (product_id) do nothing;
  perform from app.inventory as s where s.product_id = any (v_ids) order by s.product_id for no key update;
  -- Where a SKU comes twice the last word counts.
  update app.inventory as s set erp_stock = floor(l.quantity)::int, last_sync_at = now()
  from (
    select distinct on (e.value ->> 'sku') e.value ->> 'sku' as sku, (e.value ->> 'quantity')::numeric as quantity
    from jsonb_array_elements(p_levels) with ordinality as e (value, ord)
    order by e.value ->> 'sku', e.ord desc
  ) as l
  join app.products as p on p.sku = l.sku
  where s.product_id = p.id;
  get diagnostics v_applied = row_count;
  return json_build_object('applied', v_applied, 'unknown_skus', coalesce((
    select json_agg(distinct l ->> 'sku') from jsonb_array_elements(p_levels) as l
    where not exists (select from app.products as p where p.sku = l ->> 'sku')
  ), '[]'));
end $$;
comment on function app.erp_apply_stock(jsonb) is
  'Takes over stock levels: [{"sku", "quantity"}]; reservations stay. Returns how many were applied and which SKUs are unknown';

create function app.erp_apply_products(p_products jsonb)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_applied int;
begin
  perform app.require_set('products', p_products, 10000);
  if exists (
    select from jsonb_array_elements(p_products) as r
    where jsonb_typeof(r -> 'sku') is distinct from 'string' or jsonb_typeof(r -> 'name') is distinct from 'string'
      or btrim(r ->> 'sku') = '' or length(r ->> 'sku') > 64 or length(r ->> 'name') > 255
      or jsonb_typeof(r -> 'base_price') is distinct from 'number'
      or case when jsonb_typeof(r -> 'base_price') = 'number' then (r ->> 'base_price')::numeric not between 0 and 9999999999999 end
      or coalesce(jsonb_typeof(r -> 'retail_price'), 'null') not in ('number', 'null')
      or case when jsonb_typeof(r -> 'retail_price') = 'number' then (r ->> 'retail_price')::numeric not between 0 and 9999999999999 end
      or coalesce(jsonb_typeof(r -> 'is_active'), 'null') not in ('boolean', 'null')
  ) then
    perform app.fail('INVALID_ARGUMENT',
      'products is [{"sku", "name", "base_price", "retail_price", "description", "brand", "category", "is_active"}, ...]');
  end if;
  insert into app.brands (name)
  select distinct left(btrim(r ->> 'brand'), 255) from jsonb_array_elements(p_products) as r where btrim(r ->> 'brand') <> ''
  order by 1
  on conflict (name) do nothing;
  insert into app.products as p (sku, name, description, brand_id, category_id, base_price, retail_price, is_active)
  select distinct on (btrim(e.value ->> 'sku'))
    btrim(e.value ->> 'sku'), e.value ->> 'name', e.value ->> 'description', b.id, c.id, (e.value ->> 'base_price')::numeric,
    (e.value ->> 'retail_price')::numeric, coalesce((e.value ->> 'is_active')::boolean, true)
  from jsonb_array_elements(p_products) with ordinality as e (value, ord)
  left join app.brands as b on b.name = left(btrim(e.value ->> 'brand'), 255)
  left join app.categories as c on c.slug = e.value ->> 'category'
  order by btrim(e.value ->> 'sku'), e.ord desc
  on conflict (sku) do update set
    name = excluded.name, description = coalesce(excluded.description, p.description),
    brand_id = coalesce(excluded.brand_id, p.brand_id), category_id = coalesce(excluded.category_id, p.category_id),
    base_price = excluded.base_price, retail_price = coalesce(excluded.retail_price, p.retail_price), is_active = excluded.is_active
  where (p.name, p.description, p.brand_id, p.category_id, p.base_price, p.retail_price, p.is_active) is distinct from (
    excluded.name, coalesce(excluded.description, p.description), coalesce(excluded.brand_id, p.brand_id),
    coalesce(excluded.category_id, p.category_id), excluded.base_price, coalesce(excluded.retail_price, p.retail_price),
    excluded.is_active
  );
  get diagnostics v_applied = row_count;
  insert into app.inventory (product_id)
  select p.id from app.products as p
  where p.sku in (select btrim(r ->> 'sku') from jsonb_array_elements(p_products) as r)
  on conflict (product_id) do nothing;
  return json_build_object('applied', v_applied);
end $$;
comment on function app.erp_apply_products(jsonb) is 'Inserts or updates products by SKU; returns how many changed';

create function app.erp_pending_orders(p_max int)
returns json language plpgsql stable set search_path = ''
as $$
begin
  if p_max is null or p_max not between 1 and 1000 then
    perform app.fail('INVALID_ARGUMENT', 'max is from 1 to 1000');
  end if;
  return (
    select coalesce(json_agg(w.document order by w.approved_at, w.id), '[]')
    from (
      select o.id, o.approved_at, json_build_object(
        'order_id', o.id, 'order_number', o.order_number, 'approved_at', o.approved_at, 'partner_id', o.partner_id,
        'business_name', p.business_name, 'email', p.email, 'phone', p.phone, 'address', p.address,
        'subtotal', o.subtotal, 'discount_amount', o.discount_amount, 'point_discount', o.point_discount, 'grand_total', o.grand_total,
        'items', (
          select json_agg(json_build_object('sku', r.sku, 'quantity', i.quantity, 'unit_price', i.unit_price, 'line_total', i.line_total) order by r.sku)
          from app.order_items as i join app.products as r on r.id = i.product_id where i.order_id = o.id
        ),
        'invoices', (
          select json_agg(json_build_object('invoice_number', v.invoice_number, 'amount', v.amount, 'due_date', v.due_date, 'status', v.status) order by v.id)
          from app.invoices as v where v.order_id = o.id
        )
      ) as document
      from app.orders as o
      join app.partners as p on p.id = o.partner_id
      where o.status in ('APPROVED', 'SHIPPED', 'COMPLETED') and o.erp_reference is null
      order by o.approved_at, o.id
      limit p_max
    ) as w
  );
end $$;
comment on function app.erp_pending_orders(int) is 'Approved orders that the ERP has not acknowledged, oldest first, whole';

create function app.erp_ack_order(p_order_id uuid, p_erp_reference text)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_reference text := app.require_text('erp_reference', p_erp_reference, 100);
  v_order app.orders := app.lock_order(p_order_id);
begin
  if v_order.erp_reference is null then
    if v_order.status not in ('APPROVED', 'SHIPPED', 'COMPLETED') then
      perform app.fail('ILLEGAL_TRANSITION', format('%s is %s', v_order.order_number, v_order.status));
    end if;
    update app.orders as o set erp_reference = v_reference, erp_acknowledged_at = now() where o.id = p_order_id;
  elsif v_order.erp_reference <> v_reference then
    perform app.fail('ERP_REFERENCE_CONFLICT', v_order.erp_reference);
  end if;
  return json_build_object('order_id', p_order_id, 'erp_reference', v_reference, 'duplicate', v_order.erp_reference is not null);
end $$;
comment on function app.erp_ack_order(uuid, text) is 'The ERP has taken the order over: its stock figure now counts these units';

create function app.erp_apply_payments(p_payments jsonb)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_payment record;
  v_invoice app.invoices;
  v_known numeric;
  v_code text;
  v_results jsonb := jsonb_build_array();
begin
  perform app.require_set('payments', p_payments, 10000);
  if exists (
    select from jsonb_array_elements(p_payments) as r
    where jsonb_typeof(r -> 'invoice_number') is distinct from 'string' or jsonb_typeof(r -> 'reference_number') is distinct from 'string'
      or btrim(r ->> 'reference_number') = '' or length(r ->> 'reference_number') > 100 or length(r ->> 'payment_method') > 50
      or length(r ->> 'notes') > 2000
      or case when jsonb_typeof(r -> 'amount') is distinct from 'number' then true
        else (r ->> 'amount')::numeric not between 0.01 and 9999999999999 or (r ->> 'amount')::numeric <> round((r ->> 'amount')::numeric, 2) end
  ) then
    perform app.fail('INVALID_ARGUMENT',
      'payments is [{"invoice_number", "amount", "reference_number", "paid_at", "payment_method", "notes"}, ...]');
  end if;
  begin
    perform (r ->> 'paid_at')::timestamptz from jsonb_array_elements(p_payments) as r;
  exception when invalid_datetime_format or datetime_field_overflow or invalid_parameter_value then
    perform app.fail('INVALID_ARGUMENT', 'paid_at is a moment: 2026-01-31T15:04:05+07:00');
  end;
  -- Partners are locked in one order, whatever the order of the set.
  perform from app.partners as p
  where p.id in (
    select i.partner_id from app.invoices as i where i.invoice_number in (select r ->> 'invoice_number' from jsonb_array_elements(p_payments) as r)
  )
  order by p.id for no key update;
  for v_payment in
    select i.id as invoice_id, r.invoice_number, r.amount, btrim(r.reference_number) as reference_number, r.paid_at, r.payment_method, r.notes
    from jsonb_to_recordset(p_payments)
      as r (invoice_number text, amount numeric, reference_number text, paid_at timestamptz, payment_method text, notes text)
    left join app.invoices as i on i.invoice_number = r.invoice_number
  loop
    perform app.optional_moment('paid_at', v_payment.paid_at);
    if v_payment.invoice_id is null then
      v_code := 'NOT_FOUND';
    else
      v_invoice := app.lock_invoice(v_payment.invoice_id);
      select y.amount into v_known from app.invoice_payments as y
      where y.invoice_id = v_payment.invoice_id and y.reference_number = v_payment.reference_number;
      if found then
        v_code := case when v_known = v_payment.amount then 'DUPLICATE' else 'PAYMENT_REFERENCE_REUSED' end;
      else
        v_code := app.payment_refusal(v_invoice, v_payment.amount);
        if v_code is null then
          perform app.record_payment(v_payment.invoice_id, v_payment.amount, v_payment.payment_method, v_payment.reference_number,
            v_payment.paid_at, v_payment.notes);
          v_code := 'APPLIED';
        end if;
      end if;
    end if;
    v_results := v_results || jsonb_build_object(
      'invoice_number', v_payment.invoice_number, 'reference_number', v_payment.reference_number, 'result', v_code);
  end loop;
  return v_results::json;
end $$;
comment on function app.erp_apply_payments(jsonb) is
  'Books payments that the ERP knows; answers each with APPLIED, DUPLICATE or the code of its refusal, and applies the others';
