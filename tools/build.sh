#!/usr/bin/env bash
# Builds the programs that the tests run, at the versions that the go.mod files here pin, into ../.tools/bin. What is
# there at these versions already is left alone.
set -euo pipefail
cd "$(dirname "$0")"
made=$PWD/../.tools
command -v go >/dev/null || { echo "tools: go is not installed; Go 1.26 or later builds Prometheus and its companions" >&2; exit 1; }
want=$(cat {.,alertmanager,victoriametrics,collector,deploy}/go.{mod,sum} ../collector/manifest.yaml build.sh | sha256sum)
[ "$(cat "$made/stamp" 2>/dev/null)" = "$want" ] && exit 0
echo "building Prometheus, Alertmanager, VictoriaMetrics and a Collector, which takes some minutes once" >&2
mkdir -p "$made/bin"
export GOBIN=$made/bin GOFLAGS=-trimpath

# Without service discovery: the tests name their targets, and the clouds' clients are most of what there is to compile.
go install -tags remove_all_sd,netgo -ldflags='-s -w' tool

# Alertmanager needs a module of its own, for it and Prometheus want different versions of a library. Its page is built
# by Node and is not in its Go module: a copy with a page that says so takes its place.
(
  cd alertmanager
  go mod download github.com/prometheus/alertmanager
  rm -rf "$made/alertmanager"
  cp -r "$(go list -m -f '{{.Dir}}' github.com/prometheus/alertmanager)" "$made/alertmanager"
  chmod -R u+w "$made/alertmanager"
  mkdir -p "$made/alertmanager/ui/app/dist"
  echo 'This Alertmanager was built without its page.' >"$made/alertmanager/ui/app/dist/index.html"
  cp go.mod go.sum "$made"
  go mod edit -replace "github.com/prometheus/alertmanager=$made/alertmanager" "$made/go.mod"
  go install -modfile="$made/go.mod" -tags netgo -ldflags='-s -w' tool
)
(cd victoriametrics && go install -ldflags='-s -w' tool)

# What reads deploy/ as Compose and kubectl do; the first has the name of its folder.
(cd deploy && go build -ldflags='-s -w' -o "$GOBIN/compose-spec" github.com/compose-spec/compose-go/v2/cmd &&
  go install -ldflags='-s -w' sigs.k8s.io/kustomize/kustomize/v5)

# The Collector is generated from its manifest by its own builder, and compiled as any program.
(
  cd collector
  rm -rf "$made/collector"
  mkdir "$made/collector"
  sed "s#output_path: .*#output_path: $made/collector#" ../../collector/manifest.yaml >"$made/manifest.yaml"
  go tool builder --config="$made/manifest.yaml" --skip-compilation >"$made/collector.log" 2>&1 ||
    { cat "$made/collector.log" >&2; exit 1; }
  cd "$made/collector"
  go build -ldflags='-s -w' -o "$GOBIN/otelcol" .
)
printf '%s' "$want" >"$made/stamp"
