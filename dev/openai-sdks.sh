#!/bin/sh
# Installs the official OpenAI SDKs for Python and JavaScript beside the build: `python`, a virtual environment, and
# `javascript`, with node_modules. An SDK that cannot be installed is reported and left out; an installed one is kept.
set -eu
cd "$(dirname "$0")/.."
KIT=${CARGO_TARGET_DIR:-target}/openai-sdks
PYTHON_SDK="openai>=3,<4"
JAVASCRIPT_SDK="openai@7"

missing() {
    echo "the OpenAI SDK for $1 is not there: $2" >&2
}

mkdir -p "$KIT"
if ! command -v python3 > /dev/null; then
    missing Python "there is no python3"
elif ! "$KIT/python/bin/python" -c "import openai" 2> /dev/null &&
    ! { python3 -m venv "$KIT/python" && "$KIT/python/bin/pip" install -q "$PYTHON_SDK"; } > "$KIT/python.log" 2>&1; then
    rm -rf "$KIT/python"
    missing Python "it cannot be installed, see $KIT/python.log"
fi
if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
    missing JavaScript "there is no node or npm"
elif ! [ -d "$KIT/javascript/node_modules/openai" ] &&
    ! { mkdir -p "$KIT/javascript" && npm install --prefix "$KIT/javascript" --no-audit --no-fund "$JAVASCRIPT_SDK"; } \
        > "$KIT/javascript.log" 2>&1; then
    rm -rf "$KIT/javascript"
    missing JavaScript "it cannot be installed, see $KIT/javascript.log"
fi
