#!/usr/bin/env bash
# Sets up a virtual environment with Kedro and runs the tests of stemma.kedro against the built program; `make kedro` calls it. Arguments
# are pytest's; with --setup it only sets up.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "kedro: the tests with Kedro need Python 3.11 or newer" >&2
  if [ "${CI:-}" = true ]; then exit 1; fi
  exit 0
fi
venv=$PWD/.venv/kedro
wanted=$(cat test/kedro/requirements.txt python/pyproject.toml python/dolt-compat/pyproject.toml)
if ! [ -e "$venv/ready" ] || [ "$wanted" != "$(cat "$venv/ready")" ]; then
  echo "setting up $venv (once)"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r test/kedro/requirements.txt
  STEMMA_PURE=1 "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e python
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e python/dolt-compat
  printf '%s\n' "$wanted" >"$venv/ready"
fi
if [ "${1:-}" = --setup ]; then exit 0; fi
exec "$venv/bin/pytest" -c test/kedro/pytest.ini --rootdir test/kedro test/kedro "$@"
