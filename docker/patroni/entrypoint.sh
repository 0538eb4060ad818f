#!/bin/sh
# Entry point of a node: PATRONI_NAME is its name and the host name of its service. Passwords come from PATRONI_*.
set -eu
: "${PATRONI_NAME:?}"
: "${PATRONI_SUPERUSER_PASSWORD:?}"
: "${PATRONI_REPLICATION_PASSWORD:?set HUB_REPLICATION_PASSWORD in .env}"

[ "$(id -u)" != 0 ] || {
  mkdir -p "$PGDATA"
  chown postgres:postgres "$PGDATA"
  chmod 700 "$PGDATA"
  exec gosu postgres "$0" "$@"
}

export PATRONI_RESTAPI_CONNECT_ADDRESS="$PATRONI_NAME:8008"
export PATRONI_POSTGRESQL_CONNECT_ADDRESS="$PATRONI_NAME:5432"
export PATRONI_POSTGRESQL_DATA_DIR="$PGDATA"
export PATRONI_POSTGRESQL_BIN_DIR="/usr/lib/postgresql/$PG_MAJOR/bin"
exec patroni /etc/patroni.yml
