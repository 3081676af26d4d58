#!/usr/bin/env bash
# Sets up a virtual environment and runs the demo on real data; `make demo` calls it with the program on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv/demo
if ! [ -e "$venv/ready" ] || ! cmp -s demo/requirements.txt "$venv/ready"; then
  echo "setting up $venv (once)"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r demo/requirements.txt
  cp demo/requirements.txt "$venv/ready"
fi
exec "$venv/bin/python" demo/demo.py "$@"
