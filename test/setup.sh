#!/bin/sh
# Installs what the client tests need from the system: the command-line client of MySQL. It does so where there is apt and the right to
# use it; elsewhere it does nothing, and the tests of that client skip.
set -eu
if command -v mysql >/dev/null || command -v mariadb >/dev/null; then exit 0; fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then exit 0; fi
echo "installing default-mysql-client (once)"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends default-mysql-client >/dev/null
