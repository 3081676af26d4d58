#!/usr/bin/env bash
# Runs the tests of stemma.metaflow with Metaflow itself against the built program; `make metaflow` calls it. Arguments are pytest's; with
# --setup it only makes the virtual environment.
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/venv.sh
tests test/metaflow "$@"
