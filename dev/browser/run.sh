#!/bin/sh
# A malicious page in a real browser against the real server, and the pages of the server themselves. CHROMIUM, KAPELLE: the
# programs; SHOTS: a folder for screenshots.
set -eu
cd "$(dirname "$0")"
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
KAPELLE=${KAPELLE:-../../target/release/kapelle}
case $KAPELLE in /*) ;; *) KAPELLE=$(cd "$(dirname "$KAPELLE")" && pwd)/$(basename "$KAPELLE") ;; esac

skip() {
    echo "skipped: 1 (the server in a browser; it needs $1)"
    [ -z "${KAPELLE_TEST_REQUIRE:-}" ] || exit 1
    exit 0
}
[ -n "$CHROMIUM" ] || skip chromium
command -v node >/dev/null && command -v npm >/dev/null || skip "node and npm"
if ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 || skip "playwright-core from npm"
    cp package-lock.json node_modules/.installed
fi
export CHROMIUM KAPELLE
exec node --test --test-reporter=spec suite.mjs
