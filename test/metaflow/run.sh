#!/usr/bin/env bash
# Sets up a virtual environment with Metaflow and runs the tests of stemma.metaflow against the built program; `make metaflow` calls it.
# Arguments are pytest's; with --setup it only sets up.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "metaflow: the tests with Metaflow need Python 3.11 or newer" >&2
  if [ "${CI:-}" = true ]; then exit 1; fi
  exit 0
fi
venv=$PWD/.venv/metaflow
wanted=$(cat test/metaflow/requirements.txt python/pyproject.toml python/dolt-compat/pyproject.toml)
if ! [ -e "$venv/ready" ] || [ "$wanted" != "$(cat "$venv/ready")" ]; then
  echo "setting up $venv (once)"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r test/metaflow/requirements.txt
  STEMMA_PURE=1 "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e python
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e python/dolt-compat
  printf '%s\n' "$wanted" >"$venv/ready"
fi
if [ "${1:-}" = --setup ]; then exit 0; fi
exec "$venv/bin/pytest" -c test/metaflow/pytest.ini --rootdir test/metaflow test/metaflow "$@"
