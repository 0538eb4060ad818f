-- Lists by time of callers whose rows are few among many. Row security decides what the caller
-- sees, so these functions run with the caller's rights.

create function app.check_page(p_n int, p_before timestamptz, p_after text) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_n is null or p_n not between 1 and 100 then
    perform app.fail('INVALID_ARGUMENT', 'n is from 1 to 100');
  elsif p_before is not null and p_after is not null then
    perform app.fail('INVALID_ARGUMENT', 'Give before or after, not both');
  end if;
  perform app.optional_timestamp('before', p_before);
end $$;
comment on function app.check_page(int, timestamptz, text) is
  'Raises INVALID_ARGUMENT unless n is from 1 to 100, the time is plausible or null, and not both '
  'a time and a row are given';

create function app.check_cursor(p_is_found boolean) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not p_is_found then
    perform app.fail('NOT_FOUND', 'the row after which the page begins');
  end if;
end $$;
comment on function app.check_cursor(boolean) is
  'Raises NOT_FOUND for a page after a row that the caller does not see';

create function app.page_start(
  p_table regclass, p_column text, p_n int, p_before timestamptz, p_after text
)
returns timestamptz language plpgsql stable
as $$
declare
  v_time timestamptz := p_before;
begin
  perform app.check_page(p_n, p_before, p_after);
  if p_after is not null then
    execute format('select t.%I from %s as t where t.id = %L', p_column, p_table, p_after)
    into v_time;
    perform app.check_cursor(v_time is not null);
  end if;
  return v_time;
end $$;
comment on function app.page_start(regclass, text, int, timestamptz, text) is
  'The time at which a page of n rows begins: the one given, or that in this column of the row '
  'after which it begins; null for the first page. Raises INVALID_ARGUMENT, NOT_FOUND';

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

-- An index on a time holds the rows of all partners: an agent with few partners would walk past the
-- rows of all others. Reading the first row of each partner first costs one index probe a partner,
-- and leaves at most p_n partners to read further.
create function app.leading_partners(
  p_table regclass, p_column text, p_is_ascending boolean, p_n int, p_time timestamptz, p_id text
)
returns table (partner_id uuid, oldest_at timestamptz, newest_at timestamptz)
language plpgsql stable rows 20
as $$
begin
  return query execute format(
    'with heads as materialized ('
    '  select p.id as partner_id, h.at'
    '  from app.partners as p'
    '  cross join lateral ('
    '    select t.%2$I as at from %1$s as t'
    '    where t.partner_id = p.id and (t.%2$I, t.id) %4$s ($2, %3$L)'
    '    order by t.%2$I %5$s limit 1'
    '  ) as h'
    '),'
    ' page as materialized ('
    '  select * from heads order by at %5$s fetch first $1 rows with ties'
    '),'
    -- The page goes on to the p_n-th of these at most.
    ' ends as (select case when count(*) >= $1 then %6$s(at) else %7$L end as at from page)'
    ' select page.partner_id, least(page.at, ends.at), greatest(page.at, ends.at)'
    ' from page cross join ends',
    p_table, p_column, p_id,
    case when p_is_ascending then '>' else '<' end,
    case when p_is_ascending then 'asc' else 'desc' end,
    case when p_is_ascending then 'max' else 'min' end,
    case when p_is_ascending then 'infinity' else '-infinity' end)
  using p_n, p_time;
end $$;
comment on function app.leading_partners(regclass, text, boolean, int, timestamptz, text) is
  'The partners whose rows the first n rows of this table, by this column and after a time and id, '
  'can belong to, and the times between which these rows of each are';
