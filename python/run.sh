#!/usr/bin/env bash
# Checks the Python package against the built program: lint, types, tests; `make python` calls it. Arguments are pytest's; with --setup it
# only makes the virtual environment.
set -euo pipefail
cd "$(dirname "$0")/.."
. test/venv.sh
environment python
if [ "${1:-}" = --setup ]; then exit 0; fi
cd python
"$venv/bin/ruff" check --quiet .
"$venv/bin/ruff" format --quiet --check .
MYPYPATH=src "$venv/bin/mypy" --no-error-summary
exec "$venv/bin/pytest" "$@"
