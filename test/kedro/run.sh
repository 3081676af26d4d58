#!/usr/bin/env bash
# Runs the tests of stemma.kedro with Kedro itself against the built program; `make kedro` calls it. Arguments are pytest's; with --setup it
# only makes the virtual environment.
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/venv.sh
tests test/kedro "$@"
