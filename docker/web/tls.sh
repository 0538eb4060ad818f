#!/bin/sh
# The entry point of the image runs this before nginx. Where HUB_TLS_CERTIFICATE names a certificate, nginx gets
# tls.conf, and with it port 8443; nginx refuses to start with a file that is missing.
set -eu
folder=${1:-/etc/nginx}
[ -n "${HUB_TLS_CERTIFICATE:-}" ] || exit 0
: "${HUB_TLS_KEY:?is empty, and HUB_TLS_CERTIFICATE is not}"
port=:${HUB_WEB_TLS_PORT:-443}
[ "$port" != :443 ] || port=
mkdir -p "$folder/server.d"
sed -e "s|@CERTIFICATE@|/tls/$HUB_TLS_CERTIFICATE|" -e "s|@KEY@|/tls/$HUB_TLS_KEY|" -e "s|@PORT@|$port|" \
  "$folder/tls.conf.template" >"$folder/server.d/tls.conf"
