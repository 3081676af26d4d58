#!/usr/bin/env bash
# Sets up a virtual environment and checks the Python package against the built program; `make python` calls it. Arguments are pytest's.
set -euo pipefail
cd "$(dirname "$0")"
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "python: the package and its tests need Python 3.11 or newer" >&2
  if [ "${CI:-}" = true ]; then exit 1; fi
  exit 0
fi
venv=$PWD/../.venv/python
if ! [ -e "$venv/ready" ] || ! cmp -s tests/requirements.txt "$venv/ready"; then
  echo "setting up $venv (once)"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/requirements.txt
  STEMMA_PURE=1 "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
  cp tests/requirements.txt "$venv/ready"
fi
"$venv/bin/ruff" check --quiet .
"$venv/bin/ruff" format --quiet --check .
MYPYPATH=src "$venv/bin/mypy" --no-error-summary
exec "$venv/bin/pytest" "$@"
