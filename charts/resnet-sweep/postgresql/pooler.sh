# Starts PgBouncer before the PostgreSQL of PGPORT: `pooler PORT CLIENTS SESSIONS`. Each transaction of a client gets one of
# so many sessions of the server, which take megabytes where a client takes kilobytes.
set -euo pipefail
umask 077
folder=${TMPDIR:-/tmp}
ulimit -S -n hard # a file for each connection
quote='"'
# Of other users the server is asked, in the name of this one.
printf '"%s" "%s"\n' "$POSTGRES_USER" "${POSTGRES_PASSWORD//$quote/$quote$quote}" >"$folder/users"
cat >"$folder/pgbouncer.ini" <<END
[databases]
* = host=127.0.0.1 port=$PGPORT
[pgbouncer]
listen_addr = *
listen_port = $1
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $folder/users
auth_user = $POSTGRES_USER
pool_mode = transaction
max_client_conn = $2
default_pool_size = $3
server_login_retry = 1
# A client of ours gives up after ten seconds and asks anew; who has given up is noticed only then.
query_wait_timeout = 12
client_login_timeout = 12
log_connections = 0
log_disconnections = 0
log_stats = 0
END
exec pgbouncer "$folder/pgbouncer.ini"
