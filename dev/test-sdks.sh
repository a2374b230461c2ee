#!/bin/sh
# The official SDKs for Python and JavaScript, unmodified, against the real server and a double of a provider:
# `dev/test-sdks.sh openai anthropic`. An SDK that cannot be installed is skipped and counted; with KAPELLE_TEST_REQUIRE
# set a skip is a failure.
set -eu
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
TARGET=${CARGO_TARGET_DIR:-target}
KIT=$TARGET/official-sdks
skipped=0 wanted=0

$CARGO build --release --locked -p kapelle-cli -p kapelle-testkit
./dev/official-sdks.sh

place=$(mktemp -d)
double= server=
trap 'kill $double $server 2> /dev/null || true; wait 2> /dev/null || true; rm -rf "$place"' EXIT
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
address=http://$(listens "$place/server.log")
token=$(cat "$place/data/token")
export OPENAI_BASE_URL="$address/v1" OPENAI_API_KEY="$token"
export ANTHROPIC_BASE_URL="$address" ANTHROPIC_API_KEY="$token"

for name in "$@"; do
    case $name in
    openai) package=openai ;;
    anthropic) package=@anthropic-ai/sdk ;;
    *) echo "$name: unknown SDK; expected openai or anthropic" >&2; exit 2 ;;
    esac
    wanted=$((wanted + 2))
    if "$KIT/python/bin/python" -c "import $name" 2> /dev/null; then
        "$KIT/python/bin/python" "dev/testkit/$name/check.py"
    else
        skipped=$((skipped + 1))
    fi
    if [ -d "$KIT/javascript/node_modules/$package" ]; then
        # Modules are searched from the folder of the script.
        cp "dev/testkit/$name/check.mjs" "$KIT/javascript/$name.mjs"
        node "$KIT/javascript/$name.mjs"
    else
        skipped=$((skipped + 1))
    fi
done

if [ $skipped -gt 0 ]; then
    echo "$skipped of $wanted SDKs were skipped"
    [ -z "${KAPELLE_TEST_REQUIRE:-}" ] || exit 1
fi
