-- The call that changes a config; config.sql has the rules for it.

create function app.set_config_value(p_key text, p_value jsonb)
returns json language plpgsql volatile
as $$
declare
  v_key text;
  v_config app.system_configs;
begin
  v_key := app.require_text('config_key', p_key, 100);
  if p_value is null then
    perform app.fail('INVALID_ARGUMENT', 'config_value is missing');
  end if;
  update app.system_configs as c set config_value = p_value
  where c.config_key = v_key
  returning * into v_config;
  if not found then
    perform app.fail('UNKNOWN_CONFIG', v_key);
  end if;
  return json_build_object(
    'config_key', v_config.config_key, 'config_value', v_config.config_value,
    'version', v_config.version);
end $$;
comment on function app.set_config_value(text, jsonb) is
  'Changes a config; raises UNKNOWN_CONFIG, INVALID_CONFIG_VALUE';
