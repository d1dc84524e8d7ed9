#!/usr/bin/env bash
# Write build/driver, which starts the driver of the conformance suite, and build/agent, which starts the example, from
# the compiled classes and build/lib. An archive of loaded classes halves the time until the first call.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../build"
package=io.github.orchestrationledger
here=$PWD

jar --create --no-compress --file programs.jar -C classes . -C test-classes io
classpath=$here/programs.jar:$(ls -d "$here"/lib/*.jar | tr '\n' ':')
flags="-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:SharedArchiveFile=$here/programs.jsa -Xlog:disable -Xlog:all=error:stderr"

launcher() {
  printf '#!/bin/sh\nexec java %s -cp "%s" %s "$@"\n' "$flags" "$classpath" "$2" > "$1"
  chmod +x "$1"
}
launcher driver "$package.driver.Main"
launcher agent "$package.example.Agent"

# Calls and a stream to a port where nothing listens load most classes.
coproc java -XX:+UseSerialGC -XX:ArchiveClassesAtExit="$here/programs.jsa" -Xlog:disable \
  -cp "$classpath" "$package.driver.Main" 2> /dev/null
java=$COPROC_PID
commands=(
  '{"id": 1, "op": "open", "client": "a", "address": "127.0.0.1:1"}'
  '{"id": 2, "op": "call", "client": "a", "method": "TaskService/GetTask", "request": {"taskCode": "t"}}'
  '{"id": 3, "op": "follow", "client": "a", "follower": "f", "request": {"follow": true}}'
  '{"id": 4, "op": "next", "follower": "f", "count": 1, "timeout": 0.3}'
  '{"id": 5, "op": "claims", "client": "a", "request": {}}'
)
for command in "${commands[@]}"; do
  echo "$command" >&"${COPROC[1]}"
  read -r <&"${COPROC[0]}"
done
exec {COPROC[1]}>&-
wait "$java"
