#!/bin/sh
# The pages: every snippet runs, every link leads somewhere, the references are those of today's program and SDKs, and what
# a page calls missing is missing. `--write` writes the references instead. A part whose tools are not there is skipped
# and counted; with KAPELLE_TEST_REQUIRE set a skip is a failure.
set -eu
cd "$(dirname "$0")/../.."
case ${CARGO_TARGET_DIR:=target} in
/*) ;;
*) CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR ;;
esac
export CARGO_TARGET_DIR
KAPELLE=${KAPELLE:-$CARGO_TARGET_DIR/release/kapelle}
export KAPELLE
[ -x "$KAPELLE" ] || { echo "$KAPELLE: file does not exist; run \`make build\` first" >&2; exit 1; }

missing() {
    echo "SKIPPED $1"
    [ -z "${KAPELLE_TEST_REQUIRE:-}" ] || exit 1
}

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || {
    missing "the pages: their checks need python3 (3.10 or newer)"
    exit 0
}
# The declarations of the TypeScript SDK are made by its build.
if node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null; then
    (cd sdk/typescript && { [ -d node_modules ] || npm ci --silent --no-audit --no-fund; } && npm run build --silent)
else
    missing "snippets in JavaScript: they need node (20 or newer) and npm"
fi
python3 dev/docs/references.py --kapelle "$KAPELLE" "$@"
[ $# -eq 0 ] || exit 0
python3 dev/docs/links.py
python3 dev/docs/messages.py
python3 dev/docs/absent.py --kapelle "$KAPELLE"
./dev/official-sdks.sh
OPENAI_SDKS=$CARGO_TARGET_DIR/official-sdks python3 dev/docs/guides.py
