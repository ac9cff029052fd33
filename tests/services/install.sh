#!/usr/bin/env bash
# The servers that tests/services starts, unless they are there: PostgreSQL and PgBouncer from Debian (as root), with the
# library that shifts PostgreSQL's clock, and MinIO and VersityGW in a cache folder, from an archive of binaries (first
# argument, tar.zst) if it has them, else built from their Go modules.
set -euo pipefail
. "$(dirname "$0")/../support/versions.env"

if ! command -v initdb >/dev/null && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
    apt-get update -qq
    # no server of the system's own: the tests start theirs
    mkdir -p /etc/postgresql-common
    grep -qs '^create_main_cluster = false' /etc/postgresql-common/createcluster.conf \
        || echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends postgresql >/dev/null
fi

if [ ! -x /usr/sbin/pgbouncer ] || ! compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null; then
    apt-get update -qq
    ln --symbolic --force /dev/null /etc/systemd/system/pgbouncer.service # no service of the system's own either
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends pgbouncer libfaketime >/dev/null
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/resnet-sweep/cluster
lacks() { ! command -v "$1" >/dev/null && [ ! -x "$cache/$1" ]; }
fetch() { CGO_ENABLED=0 GOBIN=$cache go install -trimpath -ldflags '-s -w' "$1"; } # fetch PACKAGE@VERSION
mkdir -p "$cache"
if lacks minio && [ -n "${1-}" ] && [ -f "$1" ]; then
    command -v zstd >/dev/null || { apt-get update -qq && apt-get install -qq --yes zstd >/dev/null; }
    partial=$(mktemp --directory --tmpdir="$cache")
    zstd --decompress --long=27 --stdout "$1" | tar --extract --directory "$partial" ./minio
    mv "$partial/minio" "$cache/minio"
    rmdir "$partial"
fi
! lacks minio || fetch "github.com/minio/minio@$MINIO"
! lacks versitygw || fetch "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW"
