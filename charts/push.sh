#!/usr/bin/env bash
# Pushes the chart with an image written into it, so that whoever installs it has neither to name nor to build one.
#
#   charts/push.sh REGISTRY IMAGE DIGEST      charts/push.sh ghcr.io/acme ghcr.io/acme/resnet-sweep sha256:…
#
# A registry on this machine is spoken to without TLS, as Docker does.
set -euo pipefail
chart=$(cd "$(dirname "$0")" && pwd)/resnet-sweep
usage='usage: charts/push.sh REGISTRY IMAGE DIGEST'
registry=${1:?$usage} image=${2:?$usage} digest=${3:?$usage}
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "$digest: a digest is sha256: and 64 hexadecimal digits" >&2 && exit 2; }
options=()
[[ ! $registry =~ ^(localhost|127\.[0-9.]+|\[::1\])(:|/|$) ]] || options=(--plain-http)
work=$(mktemp --directory)
trap 'rm -r "$work"' EXIT

cp -r "$chart" "$work"
sed -e "s|^  repository: resnet-sweep\$|  repository: $image|" -e "s|^  digest: \"\"\$|  digest: $digest|" \
    "$chart/values.yaml" >"$work/resnet-sweep/values.yaml"
helm package --destination "$work" "$work/resnet-sweep"
helm push "${options[@]}" "$work"/resnet-sweep-*.tgz "oci://$registry/charts"
