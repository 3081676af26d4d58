#!/usr/bin/env bash
# Sets up a virtual environment and runs the tests with real clients against the built program; `make clients` calls it. Arguments
# are pytest's.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "clients: the tests with real clients need Python 3.11 or newer" >&2
  if [ "${CI:-}" = true ]; then exit 1; fi
  exit 0
fi
venv=.venv/clients
wanted=$(cat test/clients/requirements.txt test/clients/requirements-alone.txt)
if ! [ -e "$venv/ready" ] || [ "$wanted" != "$(cat "$venv/ready")" ]; then
  echo "setting up $venv (once)"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r test/clients/requirements.txt
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r test/clients/requirements-alone.txt
  printf '%s\n' "$wanted" >"$venv/ready"
fi
exec "$venv/bin/pytest" -c test/clients/pytest.ini --rootdir test/clients test/clients "$@"
