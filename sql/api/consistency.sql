-- Violated invariants.

create view api.consistency with (security_invoker = true) as
select
  concat_ws(':', i.invariant, c.subject_id, md5(c.details)) as id, i.invariant, c.subject_id,
  c.details
from app.invariants() as i
cross join lateral app.check_consistency(i.invariant) as c;
comment on view api.consistency is
$$Rows that violate an invariant of the database; empty when the data is consistent
Filter by invariant to run a single check: consistency?invariant=eq.credit_used.
A request is limited to 15 seconds; on a large database run "hub check" instead.$$;
comment on column api.consistency.invariant is
  'Name of the violated invariant: see docs/operations/consistency.md';
comment on column api.consistency.subject_id is 'Id of the row that violates it';
comment on column api.consistency.details is 'The actual and the expected values';

grant execute on function app.invariants(), app.check_consistency(text) to admin;
grant select on api.consistency to admin;
