#!/bin/sh
# Everything that CI tests. Parts that need a tool which is not there are skipped and counted; with KAPELLE_TEST_REQUIRE
# set a skip is a failure.
set -eu
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}

# The simulation and the comparison with the reference are built apart, because only they may hold planted bugs.
$CARGO test --release --locked --workspace --exclude kapelle-sim --exclude kapelle-graphs
$CARGO test --release --locked -p kapelle-sim -p kapelle-graphs

# The official OpenAI SDKs against the real server.
./dev/test-openai.sh
# The SDKs against the binary that was just built.
./sdk/test.sh
