-- The audit trail.

create view api.audit_logs with (security_invoker = true) as
select
  l.id, l.actor_id, l.actor_type, l.actor_role, l.on_behalf_of, l.target_id, l.target_type,
  l.action, l.old_value, l.new_value, l.ip_address, l.created_at, l.request_id
from app.audit_logs as l;
comment on view api.audit_logs is
$$Audit trail, personal data masked; at most a minute behind
request_id is the X-Request-Id of the request, which is also in messages and in the logs.
Changes of the configuration are visible to superadmins only.$$;

grant select on api.audit_logs to admin;
