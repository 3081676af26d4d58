#!/usr/bin/env bash
# Builds the wheels: stemma-db, which is pure Python, its source archive, and stemma-db-bin for each platform given as os/arch.
#
#   python/wheels.sh [-o DIR] os/arch...        into python/dist without -o
#
# STEMMA_PROGRAMS names a directory with programs that are built already: <os>-<arch>/stemma, stemma.exe for Windows.
set -euo pipefail
cd "$(dirname "$0")"
out=$PWD/dist
if [ "${1:-}" = -o ]; then
  out=$2
  shift 2
else
  rm -rf dist
fi
[ $# -gt 0 ] || { echo "python/wheels.sh: name platforms as os/arch" >&2; exit 2; }
hatchling=$PWD/../.venv/python/bin/hatchling
if ! [ -x "$hatchling" ]; then
  hatchling=$PWD/../.venv/hatchling/bin/hatchling
  if ! [ -x "$hatchling" ]; then
    python3 -m venv --clear ../.venv/hatchling
    ../.venv/hatchling/bin/pip install --quiet --disable-pip-version-check "$(grep '^hatchling==' tests/requirements.txt)"
  fi
fi
STEMMA_PURE=1 "$hatchling" build -t wheel -t sdist -d "$out" >/dev/null
for p in "$@"; do
  export GOOS=${p%/*} GOARCH=${p#*/}
  if [ -n "${STEMMA_PROGRAMS:-}" ]; then
    STEMMA_PREBUILT=$STEMMA_PROGRAMS/$GOOS-$GOARCH/stemma
    [ "$GOOS" = windows ] && STEMMA_PREBUILT+=.exe
    export STEMMA_PREBUILT
  fi
  (cd bin && "$hatchling" build -t wheel -d "$out" >/dev/null)
done
