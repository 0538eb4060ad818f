-- Figures for monitoring.

create function api.metrics() returns api."*/*"
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform set_config(
    'response.headers', '[{"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}, '
    '{"Cache-Control": "no-store"}]', true);
  return convert_to(app.metrics(), 'UTF8');
end $$;
comment on function api.metrics() is
$$Figures of the business, the jobs and the database, for Prometheus
Text in the format of Prometheus: orders by whose turn it is, lateness, outbox, inbox, jobs, streams
of the ERP, standbys, connections, archive. No figure names a person.
Errors: UNAUTHENTICATED 401.$$;
grant execute on function api.metrics() to monitor, admin;
