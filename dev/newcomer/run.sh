#!/bin/sh
# Three stories of new users, replayed on the release binary, each step with what is expected of it: scripts that use the
# OpenAI SDK, programs that use the SDKs of Kapelle, and operating a server. The SDKs are installed as a stranger would.
# A story whose tools are not there is skipped and counted; with KAPELLE_TEST_REQUIRE set a skip is a failure.
set -eu
cd "$(dirname "$0")/../.."
KAPELLE=${KAPELLE:-$PWD/${CARGO_TARGET_DIR:-target}/release/kapelle}
export KAPELLE
case ${CARGO_TARGET_DIR:=target} in
/*) ;;
*) CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR ;;
esac
export CARGO_TARGET_DIR
skipped=0

skip() {
    echo "SKIPPED $1: $2"
    skipped=$((skipped + 1))
}

[ -x "$KAPELLE" ] || { echo "$KAPELLE: file does not exist; run \`make build\` first" >&2; exit 1; }
if ! python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    skip "all three stories" "they need python3 (3.10 or newer, with venv)"
else
    python3 dev/newcomer/operator.py
    ./dev/official-sdks.sh
    if [ -x "$CARGO_TARGET_DIR/official-sdks/python/bin/python" ]; then
        python3 dev/newcomer/scripts.py
    else
        skip "the story of OpenAI scripts" "the package openai cannot be installed"
    fi
    if node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null; then
        python3 dev/newcomer/backend.py
    else
        skip "the story of a backend developer" "it needs node (20 or newer) and npm"
    fi
fi
if [ "$skipped" -gt 0 ]; then
    echo "$skipped stories of new users were skipped"
    [ -z "${KAPELLE_TEST_REQUIRE:-}" ] || exit 1
fi
