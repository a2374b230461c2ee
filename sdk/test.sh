#!/bin/sh
# The SDKs: types, their own tests, the conformance scenarios and every snippet of their guides, against the release
# binary. Sets itself up in sdk/.setup (a venv with mypy, node_modules by npm ci). A part whose tool is not there
# is skipped and counted; with KAPELLE_TEST_REQUIRE set a skip is a failure.
set -eu
cd "$(dirname "$0")"
case ${CARGO_TARGET_DIR:=target} in
/*) ;;
*) CARGO_TARGET_DIR=../$CARGO_TARGET_DIR ;;
esac
SERVER=${KAPELLE_BINARY:-$CARGO_TARGET_DIR/release/kapelle}
SETUP=$PWD/.setup
skipped=0
drivers=

skip() {
	echo "SKIPPED $1: $2"
	skipped=$((skipped + 1))
}

# $1 says whether what was set up is still what $2 asks for.
fresh() {
	[ -f "$1" ] && [ "$1" -nt "$2" ]
}

python_ready() {
	python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || return 1
	fresh "$SETUP/python" python/requirements-test.txt && return 0
	rm -rf "$SETUP/venv"
	python3 -m venv "$SETUP/venv" &&
		"$SETUP/venv/bin/pip" install --quiet --disable-pip-version-check -r python/requirements-test.txt &&
		touch "$SETUP/python"
}

node_ready() {
	node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null || return 1
	fresh "$SETUP/node" typescript/package-lock.json && [ -d typescript/node_modules ] && return 0
	(cd typescript && npm ci --silent --no-audit --no-fund) && touch "$SETUP/node"
}

[ -x "$SERVER" ] || { echo "there is no $SERVER: build it first (cargo build --release -p kapelle-cli)" >&2; exit 1; }
SERVER=$(cd "$(dirname "$SERVER")" && pwd)/${SERVER##*/}
mkdir -p "$SETUP"
PYTHON=python3
if python_ready; then
	PYTHON=$SETUP/venv/bin/python
	(cd python && "$PYTHON" -m mypy src tests examples && PYTHONPATH=src "$PYTHON" -m unittest discover -q -s tests)
	drivers=python,python-async,python-poll,python-async-poll
else
	skip "the Python SDK" "it needs python3 (3.10 or newer, with venv) and the package mypy"
fi
if node_ready; then
	(cd typescript && node_modules/.bin/tsc -p tsconfig.json && node_modules/.bin/tsc -p tests/tsconfig.json && KAPELLE_BINARY=$SERVER node --test --test-reporter=dot tests/*.test.mjs)
	drivers=${drivers:+$drivers,}typescript,typescript-poll
else
	skip "the TypeScript SDK" "it needs node (20 or newer) and npm"
fi
if [ -n "$drivers" ] && ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
	skip "the scenarios and snippets" "what runs them needs python3 (3.10 or newer)"
elif [ -n "$drivers" ]; then
	"$PYTHON" conformance/run.py --server "$SERVER" --sdk "$drivers" --quiet
	"$PYTHON" conformance/snippets.py --server "$SERVER" --sdk "$drivers"
	case $drivers in
	python*typescript*)
		RUST=${SERVER%/*}/examples/crash_host # `cargo build --release -p kapelle-host --example crash_host`
		[ -x "$RUST" ] || RUST=
		"$PYTHON" conformance/crash/run.py --server "$SERVER" --rust-host "$RUST" --rounds "${KAPELLE_SDK_ROUNDS:-8}"
		;;
	*) skip "kills under hosts of both SDKs" "it needs both SDKs" ;;
	esac
fi
if [ "$skipped" -gt 0 ]; then
	echo "$skipped parts of the SDKs were skipped"
	[ -z "${KAPELLE_TEST_REQUIRE:-}" ] || exit 1
fi
