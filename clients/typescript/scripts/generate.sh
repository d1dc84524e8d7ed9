#!/usr/bin/env bash
# Generate the stubs of the protos, and of the error details of google.rpc, below a directory.
# usage: generate.sh PYTHON PLUGIN DIRECTORY
set -euo pipefail
python=$1 plugin=$2 out=$3
protos=../../protos
googleapis=$("$python" -c 'import google.rpc, os; print(os.path.dirname(os.path.dirname(list(google.rpc.__path__)[0])))')
"$python" -m grpc_tools.protoc -I"$protos" -I"$googleapis" --plugin=protoc-gen-es="$plugin" \
  --es_out="$out" --es_opt=target=ts,import_extension=js \
  "$protos"/orchestration/v1/*.proto "$googleapis"/google/rpc/{error_details,status}.proto
{
  echo "// The generated messages and services of orchestration.v1. Written by scripts/generate.sh."
  for file in "$out"/orchestration/v1/*_pb.ts; do
    echo "export * from \"./orchestration/v1/$(basename "$file" .ts).js\";"
  done
} > "$out/index.ts"
