#!/usr/bin/env bash
# Runs the tests with real clients against the built program; `make clients` calls it. Arguments are pytest's; with --setup it only makes the
# virtual environment.
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/venv.sh
tests test/clients "$@"
