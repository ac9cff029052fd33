# Starts PostgreSQL with the password that its Secret has now: the Secret may be younger than the data on the volume.
# It is set while there is neither a socket nor a port. A database that is not there yet gets it from the image.
set -euo pipefail
if [ -s "$PGDATA/PG_VERSION" ]; then
    quote="'"
    printf "ALTER ROLE \"%s\" PASSWORD '%s'\n" "$POSTGRES_USER" "${POSTGRES_PASSWORD//$quote/$quote$quote}" |
        postgres --single -D "$PGDATA" -c exit_on_error=on -c log_min_error_statement=panic postgres >/dev/null
fi
exec docker-entrypoint.sh "$@"
