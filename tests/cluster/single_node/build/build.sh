#!/usr/bin/env bash
# Builds the cluster's binaries from their Go modules into a folder, those that it lacks: about 20 minutes on two cores
# from nothing. Needs Go (it fetches a newer one of itself where a module asks for it) and gcc.
set -euo pipefail
out=$(realpath --canonicalize-missing "${1:?usage: build.sh FOLDER}")
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../../support/versions.env"
mkdir -p "$out"
export CGO_ENABLED=0 GOBIN=$out

has() { [ -x "$out/$1" ]; }

compile() { # compile NAME LINKER_FLAGS: from the module here that pins its versions
    (cd "$here/$1" && go build -trimpath -ldflags "-s -w $2" -o "$out/$1" .)
}

fetch() { # fetch PACKAGE@VERSION
    go install -trimpath -ldflags '-s -w' "$1"
}

if ! has hyperkube; then
    # go build alone would leave it saying that it is v0.0.0
    version=$(cd "$here/hyperkube" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
    IFS=. read -r major minor _ <<<"${version#v}"
    package=k8s.io/component-base/version
    compile hyperkube "-X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
fi
has etcd || compile etcd ''
has coredns || compile coredns ''
has helm || fetch "helm.sh/helm/v4/cmd/helm@$HELM"
has minio || fetch "github.com/minio/minio@$MINIO"
has versitygw || fetch "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW"
has registry || fetch "github.com/distribution/distribution/v3/cmd/registry@$REGISTRY"
has pause || gcc -static -Os -o "$out/pause" "$here/pause.c"
