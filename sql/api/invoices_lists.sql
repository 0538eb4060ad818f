-- Lists of invoices, payments and credit notes that no view of the table can serve at a constant
-- cost.

create function api.newest_invoices(
  n int default 20, before timestamptz default null, after uuid default null
)
returns setof api.invoices language sql stable rows 20
as $$
  select i.*
  from app.newest_invoice_ids(
    newest_invoices.n, newest_invoices.before, newest_invoices.after
  ) as l (id)
  cross join lateral (select * from api.invoices as u where u.id = l.id limit 1) as i
  order by i.created_at desc, i.id desc
$$;
comment on function api.newest_invoices(int, timestamptz, uuid) is
$$List the newest invoices that the caller sees, embeddable like invoices
n is 1 to 100; after is the id of the last invoice of the page before, null for the first; before, a
time, may be given instead.
For an agent of few partners it is faster than invoices?order=created_at.desc, whatever the number
of invoices.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404.$$;

create function api.newest_payments(
  n int default 20, before timestamptz default null, after uuid default null
)
returns setof api.invoice_payments language sql stable rows 20
as $$
  select y.*
  from app.newest_payment_ids(
    newest_payments.n, newest_payments.before, newest_payments.after
  ) as l (id)
  cross join lateral (select * from api.invoice_payments as u where u.id = l.id limit 1) as y
  order by y.created_at desc, y.id desc
$$;
comment on function api.newest_payments(int, timestamptz, uuid) is
$$List the newest payments that the caller sees, embeddable like invoice_payments
n is 1 to 100; after is the id of the last payment of the page before, null for the first; before, a
time, may be given instead.
For an agent of few partners it is faster than invoice_payments?order=created_at.desc, whatever the
number of payments.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404.$$;

create function api.newest_credit_notes(n int default 20, after uuid default null)
returns setof api.credit_notes language sql stable rows 20
as $$
  select c.*
  from app.newest_credit_note_ids(newest_credit_notes.n, newest_credit_notes.after) as l (id)
  cross join lateral (select * from api.credit_notes as u where u.id = l.id limit 1) as c
  order by c.created_at desc, c.id desc
$$;
comment on function api.newest_credit_notes(int, uuid) is
$$List the newest credit notes that the caller sees, embeddable like credit_notes
n is 1 to 100; after is the id of the last credit note of the page before, null for the first.
For an agent of few partners it is faster than credit_notes?order=created_at.desc, whatever the
number of credit notes.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404.$$;

create function api.earliest_due_invoices(n int default 20, after uuid default null)
returns setof api.invoices language sql stable rows 20
as $$
  select i.*
  from app.earliest_due_invoice_ids(earliest_due_invoices.n, earliest_due_invoices.after) as l (id)
  cross join lateral (select * from api.invoices as u where u.id = l.id limit 1) as i
  order by i.due_date, i.id
$$;
comment on function api.earliest_due_invoices(int, uuid) is
$$List the invoices that the caller sees, earliest due first, embeddable like invoices
n is 1 to 100; after is the id of the last invoice of the page before, null for the first.
For an agent of few partners it is faster than invoices?order=due_date, whatever the number of
invoices.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404.$$;

grant execute on function
  app.newest_invoice_ids(int, timestamptz, uuid), app.newest_payment_ids(int, timestamptz, uuid),
  app.newest_credit_note_ids(int, uuid), app.earliest_due_invoice_ids(int, uuid),
  api.newest_invoices(int, timestamptz, uuid),
  api.newest_payments(int, timestamptz, uuid), api.newest_credit_notes(int, uuid),
  api.earliest_due_invoices(int, uuid)
to partner, agent, admin;
