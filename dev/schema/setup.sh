#!/bin/sh
# Puts schemathesis into .venv beside this file, unless it is there. Prints the program's path, or the reason why it cannot be installed.
set -eu
cd "$(dirname "$0")"
tool=.venv/bin/schemathesis
wanted=4.32.5
if ! { [ -x "$tool" ] && "$tool" --version | grep -qF "$wanted"; }; then
    command -v python3 >/dev/null || { echo "python3 is not there" >&2; exit 1; }
    rm -rf .venv
    { python3 -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check "schemathesis==$wanted"; } >&2 ||
        { rm -rf .venv; echo "schemathesis could not be installed" >&2; exit 1; }
fi
echo "$PWD/$tool"
