#!/usr/bin/env bash
# Builds the wheels into python/dist: stemma-db, which is pure Python, and stemma-db-bin for each platform given as os/arch.
set -euo pipefail
cd "$(dirname "$0")"
venv=$PWD/../.venv/python
if ! [ -x "$venv/bin/hatchling" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check hatchling==1.33.0
fi
rm -rf dist
STEMMA_PURE=1 "$venv/bin/hatchling" build -t wheel -t sdist -d "$PWD/dist"
for p in "${@:?platforms as os/arch}"; do
  (cd bin && GOOS=${p%/*} GOARCH=${p#*/} "$venv/bin/hatchling" build -t wheel -d ../dist)
done
