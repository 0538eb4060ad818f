-- Configuration and its history.

create function api.set_config(config_key text, config_value jsonb) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.set_config_value(set_config.config_key, set_config.config_value) $$;
comment on function api.set_config(text, jsonb) is
$$Change a configuration value, effective from the next request
config_value is a JSON number, string, list or object, as the key requires.
Errors: INVALID_ARGUMENT 400, UNKNOWN_CONFIG 422, INVALID_CONFIG_VALUE 422.$$;

create function api.app_configs() returns api."*/*"
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return convert_to(app.frontend_configs()::text, 'UTF8');
end $$;
comment on function api.app_configs() is
$$The configuration that frontends need, as one object with an ETag
GET it with If-None-Match: 304 without a body while nothing has changed.$$;

create view api.system_configs with (security_invoker = true) as
select c.id, c.config_key, c.config_value, c.description, c.version, c.updated_by, c.updated_at
from app.system_configs as c;
comment on view api.system_configs is 'Configuration in force; changed by rpc/set_config';

create view api.system_config_history with (security_invoker = true) as
select
  h.id, h.config_key, h.version, h.old_value, h.new_value, h.changed_by, h.changed_at
from app.system_config_history as h;
comment on view api.system_config_history is
  'Changes of the configuration: who made each, and when';

grant execute on function api.app_configs() to partner, agent, admin, subdist;
grant execute on function api.set_config(text, jsonb) to admin;
grant select on api.system_configs to admin;
grant select on api.system_config_history to superadmin;
