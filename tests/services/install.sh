#!/usr/bin/env bash
# The servers that tests/services starts, unless they are there: PostgreSQL from Debian (as root), MinIO in a cache
# folder, from an archive of binaries (first argument, tar.zst) if there is one, else built from its Go module.
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

cache=${XDG_CACHE_HOME:-$HOME/.cache}/resnet-sweep/cluster
if ! command -v minio >/dev/null && [ ! -x "$cache/minio" ]; then
    mkdir -p "$cache"
    if [ -n "${1-}" ] && [ -f "$1" ]; then
        command -v zstd >/dev/null || { apt-get update -qq && apt-get install -qq --yes zstd >/dev/null; }
        partial=$(mktemp --directory --tmpdir="$cache")
        zstd --decompress --long=27 --stdout "$1" | tar --extract --directory "$partial" ./minio
        mv "$partial/minio" "$cache/minio"
        rmdir "$partial"
    else
        CGO_ENABLED=0 GOBIN=$cache go install -trimpath -ldflags '-s -w' \
            "github.com/minio/minio@$MINIO"
    fi
fi
