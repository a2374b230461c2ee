#!/bin/sh
# The official OpenAI SDKs for Python and JavaScript, unmodified, against the real server and a double of a provider. An SDK
# that cannot be had is skipped and counted; with KAPELLE_TEST_REQUIRE set a skip is a failure.
set -eu
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
TARGET=${CARGO_TARGET_DIR:-target}
KIT=$TARGET/openai-sdks
PYTHON_SDK="openai>=3,<4"
JAVASCRIPT_SDK="openai@7"
skipped=0

skip() {
    echo "skipped: the OpenAI SDK for $1: $2"
    skipped=$((skipped + 1))
}

$CARGO build --release --locked -p kapelle-cli -p kapelle-testkit
mkdir -p "$KIT"

python=
if ! command -v python3 > /dev/null; then
    skip Python "there is no python3"
elif "$KIT/python/bin/python" -c "import openai" 2> /dev/null ||
    { python3 -m venv "$KIT/python" && "$KIT/python/bin/pip" install -q "$PYTHON_SDK"; } > "$KIT/python.log" 2>&1; then
    python=$KIT/python/bin/python
else
    skip Python "it cannot be installed, see $KIT/python.log"
fi

javascript=
if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
    skip JavaScript "there is no node or npm"
elif [ -d "$KIT/javascript/node_modules/openai" ] ||
    { mkdir -p "$KIT/javascript" && npm install --prefix "$KIT/javascript" --no-audit --no-fund "$JAVASCRIPT_SDK"; } \
        > "$KIT/javascript.log" 2>&1; then
    # A module is looked for from where the script is.
    cp dev/testkit/openai/check.mjs "$KIT/javascript/check.mjs"
    javascript=$KIT/javascript/check.mjs
else
    skip JavaScript "it cannot be installed, see $KIT/javascript.log"
fi

if [ -n "$python$javascript" ]; then
    place=$(mktemp -d)
    trap 'kill $double $server 2> /dev/null || true; wait 2> /dev/null || true; rm -rf "$place"' EXIT
    double= server=
    # Waits for the line that tells where a process listens.
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
