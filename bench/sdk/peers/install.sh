#!/bin/sh
# The systems that `make bench ARGS=sdk` measures beside Kapelle: BullMQ (npm, ./node_modules), Celery (pip, ./.venv), Redis (apt).
set -eu
cd "$(dirname "$0")"
npm ci --no-audit --no-fund --silent
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
if ! command -v redis-server >/dev/null; then
	[ "$(id -u)" = 0 ] || { echo "redis-server is not installed: install your system's package redis-server" >&2; exit 1; }
	apt-get install --yes --quiet --no-install-recommends redis-server
fi
echo "installed: BullMQ $(node -p 'require("./node_modules/bullmq/package.json").version'), Celery $(.venv/bin/celery --version), $(redis-server --version | cut -d ' ' -f 1-3)"
