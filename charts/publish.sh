#!/usr/bin/env bash
# Publishes a release: the image with its bill of materials, and the chart that installs exactly this image.
#
#   charts/publish.sh REGISTRY [OPTION…]      charts/publish.sh ghcr.io/acme --platform=linux/amd64,linux/arm64
#   helm install run1 oci://ghcr.io/acme/charts/resnet-sweep
#
# REGISTRY is a registry and what comes before the names there. The version is that of charts/resnet-sweep/Chart.yaml;
# options are those of `docker buildx build`, and its builder has to be one that can attest (driver docker-container).
# A registry on this machine is spoken to without TLS, as Docker does.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
registry=${1:?usage: charts/publish.sh REGISTRY [OPTION of docker buildx build…]}
shift
version=$(sed -n 's/^version: //p' "$repository/charts/resnet-sweep/Chart.yaml")
work=$(mktemp --directory)
trap 'rm -r "$work"' EXIT

docker buildx build --push --sbom=true --provenance=mode=max --tag "$registry/resnet-sweep:$version" \
    --build-arg "REVISION=$(git -C "$repository" rev-parse HEAD)" --metadata-file "$work/image.json" "$@" "$repository"
digest=$(sed -n 's/.*"containerimage.digest": *"\(sha256:[0-9a-f]*\)".*/\1/p' "$work/image.json")
"$repository/charts/push.sh" "$registry" "$registry/resnet-sweep" "${digest:?docker has told no digest}"
