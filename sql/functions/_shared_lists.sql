-- Lists by time of callers whose rows are few among many. Row security decides what the caller
-- sees, so these functions run with the caller's rights.

create function app.check_page(p_n int, p_before timestamptz) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_n is null or p_n not between 1 and 100 then
    perform app.fail('INVALID_ARGUMENT', 'n is from 1 to 100');
  end if;
  perform app.optional_timestamp('before', p_before);
end $$;
comment on function app.check_page(int, timestamptz) is
  'Raises INVALID_ARGUMENT unless n is from 1 to 100 and the time is plausible or null';

create function app.is_agent_of_few_partners() returns boolean language plpgsql stable
as $$
declare
  v_few_partners constant int := 1000;
begin
  return auth.caller_role() = 'agent'
    and (select count(*) from (select from app.partners limit v_few_partners + 1) as p)
      <= v_few_partners;
end $$;
comment on function app.is_agent_of_few_partners() is
  'True for an agent who sees at most 1,000 partners: their lists go from partner to partner';

-- An index on created_at holds the rows of all partners: an agent with few partners would walk past
-- the rows of all others. Reading the newest row of each partner first costs one index probe a
-- partner, and leaves at most p_n partners to read further.
create function app.newest_partners(p_table regclass, p_n int, p_before timestamptz)
returns table (partner_id uuid, newest_at timestamptz, oldest_at timestamptz)
language plpgsql stable rows 20
as $$
begin
  return query execute format(
    'with heads as materialized ('
    '  select p.id as partner_id, h.created_at'
    '  from app.partners as p'
    '  cross join lateral ('
    '    select t.created_at from %s as t'
    '    where t.partner_id = p.id and t.created_at < $2'
    '    order by t.created_at desc limit 1'
    '  ) as h'
    '),'
    -- The page reaches back to the p_n-th newest of these at most.
    ' page as materialized ('
    '  select * from heads order by created_at desc fetch first $1 rows with ties'
    ')'
    ' select partner_id, created_at,'
    '   case when count(*) over () >= $1 then min(created_at) over () else ''-infinity'' end'
    ' from page', p_table)
  using p_n, p_before;
end $$;
comment on function app.newest_partners(regclass, int, timestamptz) is
  'The partners whose rows the next n newest ones of this table, before a time, can belong to: the '
  'newest row of each, and the time before which no row of any can be among the n';
