#!/usr/bin/env bash
# Pack the client, install it into an empty project, check the types of the README's examples there, and run the
# first one against the ledger at $ORCHESTRATION_ADDRESS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
here=$PWD
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
npm pack --silent --pack-destination "$empty" >/dev/null
cd "$empty"
echo '{"name": "empty", "private": true, "type": "module"}' > package.json
npm install --silent --no-fund --no-audit --no-update-notifier --prefer-offline ./*.tgz
awk '/^```ts$/ {found = 1; n += 1; next} /^```$/ {found = 0} found {print > ("example" n ".ts")}' "$here/README.md"
[ -s example1.ts ] || { echo "the README has no example" >&2; exit 1; }
"$here/node_modules/.bin/tsc" --strict --target es2022 --module nodenext --noEmitOnError \
  --types node --typeRoots "$here/node_modules/@types" example*.ts
# The example creates a task, whose code can be used once in a project.
export ORCHESTRATION_PROJECT=${ORCHESTRATION_PROJECT:-readme-typescript-$$-$(date +%s)}
answer=$(node example1.js)
grep -q "parser" <<<"$answer" || { echo "the README's first example printed: $answer" >&2; exit 1; }
