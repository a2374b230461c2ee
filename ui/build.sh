#!/bin/sh
# Builds the web UI into ui/dist, which the program embeds. Nothing is done while nothing has changed. Without Node it
# says so and goes on, and the program has a page in place of the console; KAPELLE_TEST_REQUIRE makes that an error.
set -eu
cd "$(dirname "$0")"

without() {
    echo "the web UI is not built: $1. The program works without it; /ui/ says what is missing." >&2
    [ -z "${KAPELLE_TEST_REQUIRE:-}" ] || exit 1
    exit 0
}

command -v node >/dev/null && command -v npm >/dev/null || without "it needs Node 20.19 or newer, with npm"
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    without "it needs Node 20.19 or newer, and this is $(node --version)"

inputs=$(find . \( -name node_modules -o -name dist -o -name shots -o -name e2e \) -prune -o -type f ! -name schema.d.ts -print |
    LC_ALL=C sort | xargs cksum | cksum)
if [ "$(cat dist/.inputs 2>/dev/null)" = "$inputs" ]; then
    exit 0
fi
if ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 || without "npm ci failed"
    cp package-lock.json node_modules/.installed
fi
npm run --silent types >/dev/null
npx --no-install vite build --logLevel warn
echo "$inputs" >dist/.inputs
# Without a dist, cargo does not look for one.
touch ../crates/ui/build.rs
