#!/bin/sh
# Installs the official SDKs of OpenAI and Anthropic for Python and JavaScript beside the build: `python`, a virtual
# environment, and `javascript`, with node_modules. An SDK that cannot be installed is reported and left out; an installed
# one is kept.
set -eu
cd "$(dirname "$0")/.."
KIT=${CARGO_TARGET_DIR:-target}/official-sdks

missing() {
    echo "the SDK $1 is not there: $2" >&2
}

# python MODULE REQUIREMENT
python() {
    if ! command -v python3 > /dev/null; then
        missing "$1 for Python" "there is no python3"
    elif ! "$KIT/python/bin/python" -c "import $1" 2> /dev/null &&
        ! { python3 -m venv "$KIT/python" && "$KIT/python/bin/python" -m pip install -q "$2"; } > "$KIT/python.log" 2>&1; then
        missing "$1 for Python" "it cannot be installed, see $KIT/python.log"
    fi
}

# javascript PACKAGE VERSION
javascript() {
    if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
        missing "$1 for JavaScript" "there is no node or npm"
    elif ! [ -d "$KIT/javascript/node_modules/$1" ] &&
        ! { mkdir -p "$KIT/javascript" && npm install --prefix "$KIT/javascript" --no-audit --no-fund "$1@$2"; } \
            > "$KIT/javascript.log" 2>&1; then
        missing "$1 for JavaScript" "it cannot be installed, see $KIT/javascript.log"
    fi
}

mkdir -p "$KIT"
python openai "openai>=3,<4"
python anthropic "anthropic>=2,<3"
javascript openai 7
javascript @anthropic-ai/sdk 1
