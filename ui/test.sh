#!/bin/sh
# The web UI: types, lints, its own tests, and every page in a real browser on the real program. KAPELLE, CHROMIUM: the
# programs. A part whose tool is not there is skipped and counted; with KAPELLE_TEST_REQUIRE set a skip is a failure.
set -eu
cd "$(dirname "$0")"
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
KAPELLE=${KAPELLE:-${CARGO_TARGET_DIR:-../target}/release/kapelle}

skip() {
    echo "skipped: 1 (the web UI$1; it needs $2)"
    [ -z "${KAPELLE_TEST_REQUIRE:-}" ] || exit 1
    exit 0
}
command -v node >/dev/null && command -v npm >/dev/null || skip "" "node and npm"
./build.sh
[ -f dist/index.html ] || skip "" "Node 20.19 or newer and the packages of ui/package-lock.json"
npx --no-install tsc --noEmit
npx --no-install biome check --error-on-warnings .
npx --no-install vitest run --reporter=dot
node --test --test-reporter=dot e2e/size.test.mjs

[ -n "$CHROMIUM" ] || skip " in a browser" chromium
[ -x "$KAPELLE" ] || skip " in a browser" "$KAPELLE: make build"
KAPELLE=$(cd "$(dirname "$KAPELLE")" && pwd)/$(basename "$KAPELLE")
export CHROMIUM KAPELLE
case ${1:-} in
    shots | pictures) exec node "e2e/$1.mjs" ;;
esac
exec node --test --test-concurrency=1 --test-reporter=spec \
    e2e/pages.test.mjs e2e/stories.test.mjs e2e/console.test.mjs e2e/schedules.test.mjs e2e/first.test.mjs e2e/speed.test.mjs
