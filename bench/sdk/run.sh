#!/bin/sh
# Builds the TypeScript SDK and measures both SDKs: the options are those of run.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../../sdk/typescript"
[ -d node_modules ] || npm ci --silent --no-audit --no-fund
node_modules/.bin/tsc -p tsconfig.json
exec python3 "$here/run.py" "$@"
