-- Broken invariants.

create view api.consistency with (security_invoker = true) as
select i.invariant, c.subject_id, c.details
from app.invariants() as i
cross join lateral app.check_consistency(i.invariant) as c;
comment on view api.consistency is $$Rows that break a promise of the hub: empty when all is well
Filter by invariant to run a single check: consistency?invariant=eq.credit_used. A request takes 15 seconds at most: on a large database "hub check" runs them all.$$;
comment on column api.consistency.invariant is 'Name of the broken invariant: see docs/consistency.md';
comment on column api.consistency.subject_id is 'Id of the row that breaks it';
comment on column api.consistency.details is 'What stands there, and what should';

grant execute on function app.invariants(), app.check_consistency(text) to admin;
grant select on api.consistency to admin;
