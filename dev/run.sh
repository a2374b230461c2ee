#!/bin/sh
# `make run`: a server over this folder with the sample workers, one run of the complete analysis as an example, and
# commands to try next. It stays until Ctrl-C; with ONCE=1 it ends after the run.
set -eu
cd "$(dirname "$0")/.."
kapelle=target/release/kapelle
[ -z "${CARGO_TARGET_DIR:-}" ] || kapelle=$CARGO_TARGET_DIR/release/kapelle
document=${DOCUMENT:-samples/annual-report.pdf}
data=${KAPELLE_DATA:-.kapelle}
bin=$(cd "$(dirname "$kapelle")" && pwd)

analyse() {
  "$kapelle" run workflows/complete-analysis.yaml --input "document=@$document" --out out
}

hints() {
  link=$("$kapelle" ui 2>/dev/null) || link="http://$1/ui/"
  cat >&2 <<END

The web console (this link logs in once, within 10 minutes):
  $link
The interface as a page is at http://$1/docs, its health at /health. The token is in $data/token.
In another terminal, put the program on the path, and try:
  export PATH="$bin:\$PATH"      (or \`sudo make install\`)
  kapelle ui                     another link to the console
  kapelle top                    what the server does, live
  kapelle status                 runs and tasks
  kapelle submit keywords --input text="The reading room needs light." --wait
  curl -H "Authorization: Bearer \$(cat $data/token)" http://$1/workers/status
  make workers                   worker hosts of their own: one process for each queue
Ctrl-C stops the server gracefully. Everything in $data is kept.
END
}

./dev/samples.sh

pipe=$(mktemp -d)
trap 'rm -rf "$pipe"' EXIT
mkfifo "$pipe/said"

if [ -n "${ONCE:-}" ]; then
  "$kapelle" serve ${LISTEN:+--listen "$LISTEN"} >"$pipe/said" &
  server=$!
  trap 'kill -TERM "$server" 2>/dev/null || true; rm -rf "$pipe"' EXIT
  exec 3<"$pipe/said"
  if ! read -r _ <&3; then
    # It has printed on standard error why it did not start.
    trap 'rm -rf "$pipe"' EXIT
    wait "$server" || exit $?
    exit 1
  fi
  code=0
  analyse || code=$?
  kill -TERM "$server"
  wait "$server" || [ $? -eq 143 ] || code=1
  trap 'rm -rf "$pipe"' EXIT
  exit "$code"
fi

# The server is in the foreground, so that Ctrl-C reaches it; the commands below are its clients.
(
  exec 3<"$pipe/said"
  if read -r said <&3; then
    rm -rf "$pipe"
    analyse || true
    hints "${said#listening=}"
    cat <&3 >/dev/null
  fi
  rm -rf "$pipe"
) &
trap - EXIT
exec "$kapelle" serve ${LISTEN:+--listen "$LISTEN"} >"$pipe/said"
