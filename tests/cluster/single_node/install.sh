#!/usr/bin/env bash
# What the cluster of plain binaries needs, unless it is there: Debian's packages (as root), and its binaries in a cache
# folder, from an archive (first argument, tar.zst) if there is one, else built from their Go modules.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

packages=()
need() { # need PACKAGE FILE_OR_COMMAND
    command -v "$2" >/dev/null || packages+=("$1")
}
need containerd containerd
need runc runc
need containernetworking-plugins /usr/lib/cni/bridge
need iptables iptables
need conntrack conntrack
need iproute2 ip
need openssl openssl
need buildah buildah
need debootstrap debootstrap
need zstd zstd
if [ ${#packages[@]} -gt 0 ]; then
    apt-get update -qq
    # no containerd of the system's own: the cluster starts its own
    [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d && trap 'rm /usr/sbin/policy-rc.d' EXIT; }
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes "${packages[@]}" >/dev/null
fi

cache=${RESNET_SWEEP_CLUSTER_BINARIES:-${XDG_CACHE_HOME:-$HOME/.cache}/resnet-sweep/cluster}
mkdir -p "$cache"
complete=yes
for binary in hyperkube etcd coredns registry pause helm minio; do
    [ -x "$cache/$binary" ] || complete=no
done
if [ $complete = no ] && [ -n "${1-}" ] && [ -f "$1" ]; then
    partial=$(mktemp --directory --tmpdir="$cache")
    zstd --decompress --long=27 --stdout "$1" | tar --extract --directory "$partial"
    mv "$partial"/* "$cache"
    rmdir "$partial"
fi
"$here/build/build.sh" "$cache"
