#!/usr/bin/env bash
# Installs what tests need from the system: MySQL's command-line client, and the servers of PostgreSQL and MariaDB. It does so where there
# is apt and the right to use it; elsewhere it installs nothing, and the tests of what is missing skip, or fail with CI=true. It also makes
# the virtual environments in which examples/kalido and what is about Kedro and Metaflow run.
set -euo pipefail
cd "$(dirname "$0")/.."
want=()
command -v mysql >/dev/null || command -v mariadb >/dev/null || want+=(default-mysql-client)
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || want+=(postgresql)
[ -x /usr/sbin/mariadbd ] || want+=(mariadb-server)
command -v git >/dev/null || want+=(git)
if [ ${#want[@]} -gt 0 ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "installing ${want[*]} (once)"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${want[@]}" >/dev/null
fi
example=.venv/kalido
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && ! cmp -s examples/kalido/requirements.txt $example/ready; then
  echo "setting up $example (once)"
  python3 -m venv --clear $example
  $example/bin/pip install --quiet --disable-pip-version-check -r examples/kalido/requirements.txt
  cp examples/kalido/requirements.txt $example/ready
fi
test/kedro/run.sh --setup
test/metaflow/run.sh --setup
