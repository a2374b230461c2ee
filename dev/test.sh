#!/bin/sh
# Everything that CI tests. Parts that need a tool which is not there are skipped and counted; with KAPELLE_TEST_REQUIRE
# set a skip is a failure.
set -eu
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}

# The simulation is built apart, because only it may hold planted bugs.
$CARGO test --release --locked --workspace --exclude kapelle-sim
$CARGO test --release --locked -p kapelle-sim
