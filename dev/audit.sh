#!/bin/sh
# Checks the dependencies: licences, bans, sources, and known vulnerabilities where the data can be reached.
set -eu
cd "$(dirname "$0")/.."
CARGO="${CARGO:-cargo}"
VERSION=0.20

if ! command -v cargo-deny >/dev/null 2>&1 && [ ! -x target/audit/bin/cargo-deny ]; then
  echo "audit: cargo-deny is not here; it is built into target/audit, which takes some minutes" >&2
  "$CARGO" install cargo-deny --locked --version "^$VERSION" --root target/audit
fi
PATH="$PATH:$PWD/target/audit/bin"
export PATH

failed=0
cargo-deny --locked check --hide-inclusion-graph licenses bans sources || failed=1

# Pinned to their hashes: pip installs for the samples exactly the reviewed files.
if grep -vE '^[[:space:]]*(#|--hash=|$)' workers/requirements.txt | grep -qvE '^[A-Za-z0-9._-]+==[^ ]+( ;.*)? \\$'; then
  echo "audit: workers/requirements.txt: a package has no hashes; make it anew as its first lines say" >&2
  failed=1
fi

# The database of advisories is fetched from GitHub.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if cargo-deny --locked check --hide-inclusion-graph advisories >"$log" 2>&1; then
  cat "$log"
  echo "audit: advisories: checked against today's data"
elif grep -qiE 'failed to fetch|unable to (load|fetch|clone)|advisory database.*(fail|unable)|could not resolve|network|timed out' "$log"; then
  tail -n 5 "$log" >&2
  echo "audit: ADVISORIES WERE NOT CHECKED: the database (github.com/RustSec/advisory-db) cannot be reached from here" >&2
  # This is a failure where skips are not allowed, as in CI.
  [ "${AUDIT_REQUIRE:-}" != 1 ] || failed=1
else
  cat "$log" >&2
  failed=1
fi
exit "$failed"
