#!/usr/bin/env bash
# Import the module into an empty project, as the ecosystem would, and run the README's first program against the ledger
# of ORCHESTRATION_ADDRESS: package.sh VERSION.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
: "${ORCHESTRATION_ADDRESS:?names no ledger}"

module=github.com/orchestration-ledger/orchestration/clients/go
version=v$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Only what is committed is published: the sources without builds.
mkdir "$work/source"
git ls-files -z . | xargs -0 cp --parents -t "$work/source"
build/bin/modzip "$work/source" "$module" "$version" "$work/proxy"

mkdir "$work/project"
awk '/^```go$/ { inside = 1; next } /^```$/ && inside { exit } inside' README.md > "$work/project/main.go"

# Modules that were downloaded before come from the cache, which has the layout of a proxy.
export GOPROXY="file://$work/proxy,file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
export GONOSUMDB="$module" GOMODCACHE="$work/modules" GOWORK=off
# The paths of packages are left out, so that what was built before comes from the cache, too.
export GOFLAGS="-modcacherw -mod=mod -trimpath"
cd "$work/project"
go mod init example.com/first 2>/dev/null
go get "$module@$version" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
go mod tidy 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
go run .
