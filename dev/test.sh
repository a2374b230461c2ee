#!/bin/sh
# Everything that CI tests. Parts whose tools are not installed are skipped and counted; with KAPELLE_TEST_REQUIRE
# set a skip is a failure.
set -eu
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}

# The program embeds the web UI, so this comes before everything that builds it.
./ui/build.sh

# Tests of scripts use the official SDKs where they are installed.
./dev/official-sdks.sh

# The simulation and the comparison with the reference are built apart, because only they may hold planted bugs.
$CARGO test --release --locked --workspace --exclude kapelle-sim --exclude kapelle-graphs --exclude kapelle-hunt
$CARGO test --release --locked -p kapelle-sim -p kapelle-graphs

# The real binary from outside, with tools in other languages.
$CARGO build --release --locked -p kapelle-cli
KAPELLE=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd)/kapelle
export KAPELLE
./dev/schema/run.sh
./dev/browser/run.sh
./ui/test.sh
if command -v python3 >/dev/null; then
    ./dev/five-minutes.py
    ./dev/uses/run.py
elif [ -n "${KAPELLE_TEST_REQUIRE:-}" ]; then
    echo "python3 is not there" >&2
    exit 1
else
    echo "skipped: 2 (the first five minutes, the sample uses; they need python3)"
fi

# What new users do, replayed.
./dev/newcomer/run.sh
# The pages: snippets, links, references, and what they call missing.
./dev/docs/check.sh
# The official SDKs of OpenAI and Anthropic against the real server.
./dev/test-sdks.sh openai anthropic
# Four frameworks over them; `make frameworks` runs all.
if command -v python3 >/dev/null; then
    ./dev/frameworks/run.py --light
elif [ -n "${KAPELLE_TEST_REQUIRE:-}" ]; then
    echo "python3 is not there" >&2
    exit 1
else
    echo "skipped: 4 (the frameworks; they need python3)"
fi
# The SDKs against the binary that was just built.
./sdk/test.sh
