#!/usr/bin/env bash
# Builds a release into a directory: for each platform given as os/arch the program in an archive and the wheel stemma-db-bin with it, the
# wheel and the source archive of the client stemma-db, install.sh, and SHA256SUMS of them all.
#
#   release/build.sh [-o DIR] os/arch...
#
# RELEASE_URL in the environment is where the release will be published; install.sh then needs no --from.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
out=$root/dist
if [ "${1:-}" = -o ]; then
  mkdir -p "$2"
  out=$(cd "$2" && pwd)
  shift 2
fi
[ $# -gt 0 ] || { echo "release/build.sh: name platforms as os/arch" >&2; exit 2; }
export CGO_ENABLED=0
go=${GO:-go}
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' python/src/stemma/_version.py)
grep -qx "var version = \"$version\"" cmd/stemma/main.go || { echo "release: cmd/stemma/main.go and python/src/stemma/_version.py name different versions" >&2; exit 1; }
tag=$(git describe --tags --exact-match --match 'v*' 2>/dev/null || true)
if [ -n "$tag" ] && [ "$tag" != "v$version" ]; then
  echo "release: the commit has the tag $tag, but the sources say $version" >&2
  exit 1
fi
# Archives carry the time of the commit, so that the same commit gives the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1767225600)}
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
if [ -e "$out/SHA256SUMS" ]; then
  rm -rf "${out:?}"/*
elif [ -n "$(ls -A "$out")" ]; then
  echo "release: $out is not empty, and not a release" >&2
  exit 1
fi
release/licences.sh > "$work/THIRD_PARTY_LICENSES"
for p in "$@"; do
  os=${p%/*} arch=${p#*/} name=stemma
  [ "$os" = windows ] && name=stemma.exe
  top=stemma-$version-$os-$arch
  mkdir -p "$work/$top"
  echo "$top"
  GOFLAGS='' GOOS=$os GOARCH=$arch "$go" build -tags=gms_pure_go -buildvcs=false -trimpath -ldflags "-s -w -X main.version=$version" -o "$work/$top/$name" ./cmd/stemma
  cp LICENSE README.md CHANGELOG.md "$work/THIRD_PARTY_LICENSES" "$work/$top/"
  if [ "$os" = windows ]; then
    (cd "$work" && python3 - "$top" "$out/$top.zip" "$SOURCE_DATE_EPOCH" <<'END'
import pathlib, sys, time, zipfile
top, out, epoch = sys.argv[1:]
with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
    for file in sorted(pathlib.Path(top).iterdir()):
        info = zipfile.ZipInfo(file.as_posix(), time.gmtime(int(epoch))[:6])
        info.compress_type = zipfile.ZIP_DEFLATED
        z.writestr(info, file.read_bytes())
END
    )
  else
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go+rX,go-w -C "$work" -cf - "$top" | gzip -n -9 > "$out/$top.tar.gz"
  fi
  mkdir -p "$work/programs/$os-$arch"
  ln "$work/$top/$name" "$work/programs/$os-$arch/$name"
done
STEMMA_PROGRAMS=$work/programs python/wheels.sh -o "$out" "$@"
sed "s|^published=\$|published=${RELEASE_URL:-}|" release/install.sh > "$out/install.sh"
chmod 755 "$out/install.sh"
(cd "$out" && sha256sum -- * > "$work/SHA256SUMS")
mv "$work/SHA256SUMS" "$out/"
echo "a release of $version is in $out"
