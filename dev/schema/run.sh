#!/bin/sh
# Sends the real server requests that its own description allows, and many that it forbids, and checks the answers: no
# 5xx, no status or content type outside the description, every body valid by its schema, and no access without a key.
# EXAMPLES a route (50), SEED (1), KAPELLE: the binary.
set -eu
cd "$(dirname "$0")/../.."
KAPELLE=${KAPELLE:-target/release/kapelle}
EXAMPLES=${EXAMPLES:-50}
SEED=${SEED:-1}

if ! tool=$(dev/schema/setup.sh); then
    [ -z "${KAPELLE_TEST_REQUIRE:-}" ] || exit 1
    echo "skipped: 1 (the description against the server; it needs python3 and schemathesis)"
    exit 0
fi
case $KAPELLE in /*) ;; *) KAPELLE=$PWD/$KAPELLE ;; esac
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -9 "$server" 2>/dev/null; rm -rf "$folder"' EXIT INT TERM
mkdir "$folder/workflows"
cp workflows/*.yaml "$folder/workflows/"
(cd "$folder" && exec env -u OPENAI_API_KEY -u OPENAI_BASE_URL "$KAPELLE" serve --listen 127.0.0.1:0) \
    >"$folder/out" 2>"$folder/log" &
server=$!
tries=0
until grep -q '^listening=' "$folder/out"; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
url=http://$(sed -n 's/^listening=//p' "$folder/out")
token=$(cat "$folder/.kapelle/token")

# Data for the requests: ids of existing tasks, runs and hosts test more than unknown ones.
ask() { curl -sf -H "Authorization: Bearer $token" -H 'Content-Type: application/json' "$url$1" -d "$2" >/dev/null; }
for n in 1 2 3; do ask /api/v1/tasks "{\"worker\":\"log\",\"input\":{\"message\":\"$n\"}}"; done
ask /api/v1/runs '{"workflow":"first-look","inputs":{}}' || true
ask /api/v1/hosts '{"name":"schema","workers":["far"]}'
ask /api/v1/tasks '{"worker":"far"}'

status=0
cd "$folder"
cp "$OLDPWD"/dev/schema/schemathesis.toml "$OLDPWD"/dev/schema/waits.py .
PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 timeout "${LIMIT:-900}" "$tool" --config-file schemathesis.toml run "$url/openapi.json" \
    -H "Authorization: Bearer $token" --max-examples "$EXAMPLES" --seed "$SEED" --no-color || status=$?
curl -sf "$url/readyz" >/dev/null || { echo "the server is not ready any more" >&2; status=1; }
if grep -i 'panic' "$folder/log"; then status=1; fi
exit $status
