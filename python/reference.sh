#!/usr/bin/env bash
# Makes the reference of the Python package from its docstrings, as HTML in dist/reference; `make docs` calls it. What is about Kedro, MLflow
# and Metaflow is made where these are installed.
set -euo pipefail
cd "$(dirname "$0")/.."
. test/venv.sh
reference() {
  local name=$1 directory=$2
  shift 2
  environment "$name"
  "$venv/bin/pdoc" --docformat google --no-show-source -o "$directory" "$@"
}
rm -rf dist/reference
reference python dist/reference stemma '!stemma.kedro' '!stemma.metaflow' '!stemma.mlflow' adbc_driver_stemma
reference kedro dist/reference/kedro stemma.kedro stemma.mlflow
reference metaflow dist/reference/metaflow stemma.metaflow
echo "dist/reference/index.html"
