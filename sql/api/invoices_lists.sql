-- Lists of invoices and payments that no view of the table can serve at a constant cost.

create function api.newest_invoices(n int default 20, before timestamptz default null)
returns setof api.invoices language sql stable rows 20
as $$
  select i.* from app.newest_invoice_ids(newest_invoices.n, newest_invoices.before) as l (id)
  cross join lateral (select * from api.invoices as u where u.id = l.id limit 1) as i
  order by i.created_at desc, i.id desc
$$;
comment on function api.newest_invoices(int, timestamptz) is
$$List the newest invoices that the caller sees, embeddable like invoices
n is 1 to 100; before is the created_at of the last invoice of the page before, null for the first.
For an agent of few partners it is faster than invoices?order=created_at.desc, whatever the number
of invoices.
Errors: INVALID_ARGUMENT 400.$$;

create function api.newest_payments(n int default 20, before timestamptz default null)
returns setof api.invoice_payments language sql stable rows 20
as $$
  select y.* from app.newest_payment_ids(newest_payments.n, newest_payments.before) as l (id)
  cross join lateral (select * from api.invoice_payments as u where u.id = l.id limit 1) as y
  order by y.created_at desc, y.id desc
$$;
comment on function api.newest_payments(int, timestamptz) is
$$List the newest payments that the caller sees, embeddable like invoice_payments
n is 1 to 100; before is the created_at of the last payment of the page before, null for the first.
For an agent of few partners it is faster than invoice_payments?order=created_at.desc, whatever the
number of payments.
Errors: INVALID_ARGUMENT 400.$$;

grant execute on function
  app.newest_invoice_ids(int, timestamptz), app.newest_payment_ids(int, timestamptz),
  api.newest_invoices(int, timestamptz), api.newest_payments(int, timestamptz)
to partner, agent, admin;
