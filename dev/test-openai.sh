#!/bin/sh
# The official OpenAI SDKs for Python and JavaScript, unmodified, against the real server and a double of a provider. An SDK
# that cannot be installed is skipped and counted; with KAPELLE_TEST_REQUIRE set a skip is a failure.
set -eu
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
TARGET=${CARGO_TARGET_DIR:-target}
KIT=$TARGET/openai-sdks
skipped=0

$CARGO build --release --locked -p kapelle-cli -p kapelle-testkit
./dev/openai-sdks.sh

python=
if [ -x "$KIT/python/bin/python" ]; then
    python=$KIT/python/bin/python
else
    skipped=$((skipped + 1))
fi
javascript=
if [ -d "$KIT/javascript/node_modules/openai" ]; then
    # Modules are searched from the folder of the script.
    cp dev/testkit/openai/check.mjs "$KIT/javascript/check.mjs"
    javascript=$KIT/javascript/check.mjs
else
    skipped=$((skipped + 1))
fi

if [ -n "$python$javascript" ]; then
    place=$(mktemp -d)
    trap 'kill $double $server 2> /dev/null || true; wait 2> /dev/null || true; rm -rf "$place"' EXIT
    double= server=
    # Waits for the line with the address of a process.
    listens() {
        tries=0
        until grep -q listening= "$1"; do
            tries=$((tries + 1))
            [ $tries -lt 300 ] || { cat "$1"; exit 1; }
            sleep 0.1
        done
        sed -n 's/^listening=//p' "$1"
    }
    "$TARGET/release/scripted-openai" dev/testkit/openai/script.yaml > "$place/double.log" 2>&1 &
    double=$!
    upstream=http://$(listens "$place/double.log")/v1
    OPENAI_API_KEY=sk-canary OPENAI_BASE_URL=$upstream KAPELLE_DATA=$place/data \
        "$TARGET/release/kapelle" serve --listen 127.0.0.1:0 > "$place/server.log" 2>&1 &
    server=$!
    OPENAI_BASE_URL=http://$(listens "$place/server.log")/v1
    OPENAI_API_KEY=$(cat "$place/data/token")
    export OPENAI_BASE_URL OPENAI_API_KEY
    [ -z "$python" ] || "$python" dev/testkit/openai/check.py
    [ -z "$javascript" ] || node "$javascript"
fi

if [ $skipped -gt 0 ]; then
    echo "$skipped of 2 SDKs were skipped"
    [ -z "${KAPELLE_TEST_REQUIRE:-}" ] || exit 1
fi
