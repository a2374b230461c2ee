#!/bin/sh
# Installs the packages of the sample workers: for Node in workers/node_modules, for Python in workers/.venv. Existing
# ones are kept; ones that cannot be installed are reported, and the other workers continue without them.
set -u
cd "$(dirname "$0")/../workers"

missing() {
  echo "warning: $1: the sample workers in $2 wait until it is there" >&2
}

if ! cmp -s package-lock.json node_modules/.installed; then
  if command -v npm >/dev/null; then
    echo "installing what the sample workers in JavaScript need" >&2
    if npm ci --ignore-scripts --loglevel=error >&2; then
      cp package-lock.json node_modules/.installed
    else
      missing "npm could not install openai" JavaScript
    fi
  else
    missing "npm is not there" JavaScript
  fi
fi

if ! cmp -s requirements.txt .venv/.installed; then
  if command -v python3 >/dev/null; then
    echo "installing what the sample workers in Python need" >&2
    if python3 -m venv .venv >&2 && .venv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt >&2; then
      cp requirements.txt .venv/.installed
    else
      missing "pip could not install openai" Python
    fi
  else
    missing "python3 is not there" Python
  fi
fi
