#!/usr/bin/env bash
# Installs what tests need from the system: MySQL's command-line client, and the servers of PostgreSQL and MariaDB. It does so where there
# is apt and the right to use it; elsewhere it installs nothing, and the tests of what is missing skip, or fail with CI=true. Azure's emulator
# of its storage it installs where there is npm. It also makes the virtual environments in which the tests with Python, and examples/kalido, run.
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
# Azure's emulator of its storage, which is a program of Node.
if [ ! -x .venv/azurite/node_modules/.bin/azurite-blob ] && command -v npm >/dev/null; then
  echo "setting up .venv/azurite (once)"
  mkdir -p .venv/azurite
  npm install --prefix .venv/azurite --no-audit --no-fund --no-save --silent azurite@3.37.0 || echo "azurite was not installed: its tests skip" >&2
fi
. test/venv.sh
(environment kalido)
for tests in test/kedro test/metaflow test/clients python; do "$tests/run.sh" --setup; done
