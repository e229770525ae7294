#!/usr/bin/env bash
# Runs a command with a PostgreSQL server of its own: tests/postgresql.sh pytest tests/data/test_sql.py
# The server listens on a free port of this computer, in a new folder that is removed at the end.
set -euo pipefail
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
bin=${bin:-$(dirname "$(command -v initdb)")}
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
as=()
if [ "$(id -u)" = 0 ]; then # the server refuses to run as root
  chown postgres "$folder"
  as=(runuser -u postgres --)
fi
stop() {
  "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap stop EXIT
password=$(python3 -c 'import secrets; print(secrets.token_hex(8))')
echo "$password" >"$folder/password"
chmod 644 "$folder/password"
(
  cd "$folder"
  "${as[@]}" "$bin/initdb" -D "$folder/data" -U xhat -A scram-sha-256 --pwfile="$folder/password" >/dev/null
  "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/log" \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='$folder'" start >/dev/null
)
XHAT_TEST_POSTGRESQL="postgresql://xhat:$password@127.0.0.1:$port/postgres" "$@"
