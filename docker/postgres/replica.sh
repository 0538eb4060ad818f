#!/bin/sh
# Entry point of the standby: copies the primary the first time, and again if it has missed too much WAL, then
# follows it. PGHOST is the primary; while it is away, an existing copy starts without it.
set -eu
: "${REPLICATION_PASSWORD:?set HUB_REPLICATION_PASSWORD in .env}"

[ "$(id -u)" != 0 ] || {
  mkdir -p "$PGDATA"
  chown postgres:postgres "$PGDATA"
  chmod 700 "$PGDATA"
  exec gosu postgres "$0" "$@"
}

as_superuser() {
  PGPASSWORD=$SUPERUSER_PASSWORD psql -XAtq -v ON_ERROR_STOP=1 -U postgres -d postgres "$@"
}

if usable=$(as_superuser -c "select count(*) from pg_replication_slots
    where slot_name = 'reports' and wal_status is distinct from 'lost'"); then
  as_superuser -v password="$REPLICATION_PASSWORD" <<'SQL'
select 'create role replicator login replication noinherit'
where to_regrole('replicator') is null \gexec
set password_encryption = 'scram-sha-256';
alter role replicator password :'password';
SQL
  if [ "$usable" = 0 ] || ! [ -e "$PGDATA/standby.signal" ]; then
    find "$PGDATA" -mindepth 1 -delete
    as_superuser -c "select pg_drop_replication_slot(slot_name) from pg_replication_slots
      where slot_name = 'reports'" -c "select pg_create_physical_replication_slot('reports', true)" >/dev/null
    PGPASSWORD=$REPLICATION_PASSWORD pg_basebackup --pgdata="$PGDATA" --slot=reports --wal-method=stream \
      --checkpoint=fast --no-password --dbname="user=replicator"
    touch "$PGDATA/standby.signal"
  fi
elif ! [ -e "$PGDATA/standby.signal" ]; then
  echo "replica: the primary does not answer, and there is no copy of it yet" >&2
  exit 1
fi

# The server reads the password from a file of its own: `ps` would show it on the command line.
password=$(printf '%s' "$REPLICATION_PASSWORD" | sed 's/[:\\]/\\&/g')
printf '%s:%s:replication:replicator:%s\n' "$PGHOST" "${PGPORT:-5432}" "$password" >"$PGDATA/replica.pgpass"
chmod 600 "$PGDATA/replica.pgpass"
source="host=$PGHOST port=${PGPORT:-5432} user=replicator application_name=reports connect_timeout=5"
unset SUPERUSER_PASSWORD REPLICATION_PASSWORD PGHOST PGPORT
exec "$@" -c "primary_conninfo=$source passfile=$PGDATA/replica.pgpass" -c primary_slot_name=reports \
  -c hot_standby_feedback=on -c wal_retrieve_retry_interval=1s
