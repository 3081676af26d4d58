#!/bin/sh
# Installs the program stemma from a release: the archive of this platform is fetched, its checksum compared, and the program put where
# programs of a user lie.
#
#   sh install.sh [--from PLACE] [--prefix DIR] [--dolt]
#
#   --from PLACE    the URL or the directory of the release (or STEMMA_RELEASE); the directory in which this script lies otherwise
#   --prefix DIR    installs into DIR/bin (or PREFIX); ~/.local otherwise
#   --dolt          the program answers to the name dolt as well
#
# It needs tar, a program for SHA-256 (sha256sum, shasum or openssl) and, for a URL, curl or wget.
set -eu

# Where this release is published; the build of the release fills it in.
published=

main() {
	from=${STEMMA_RELEASE:-} prefix=${PREFIX:-} dolt=
	while [ $# -gt 0 ]; do
		case $1 in
		--from | --prefix)
			[ $# -gt 1 ] || fail "$1 has no value"
			if [ "$1" = --from ]; then from=$2; else prefix=$2; fi
			shift
			;;
		--from=*) from=${1#*=} ;;
		--prefix=*) prefix=${1#*=} ;;
		--dolt) dolt=yes ;;
		-h | --help)
			usage
			return
			;;
		*) fail "unknown argument $1; --help tells which there are" ;;
		esac
		shift
	done
	if [ -z "$from" ]; then
		here=$(CDPATH='' cd -- "$(dirname -- "$0")" 2>/dev/null && pwd) || here=
		if [ -n "$here" ] && [ -f "$here/SHA256SUMS" ]; then from=$here; else from=$published; fi
	fi
	[ -n "$from" ] || fail "say where the release is: --from URL, or --from DIRECTORY"
	from=${from%/}
	if [ -z "$prefix" ]; then
		[ -n "${HOME:-}" ] || fail "HOME is not set; say where to install: --prefix DIR"
		prefix=$HOME/.local
	fi
	bin=${prefix%/}/bin

	platform=$(platform)
	work=$(mktemp -d "${TMPDIR:-/tmp}/stemma-install.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	fetch SHA256SUMS
	archive=$(awk -v end="-$platform.tar.gz" '
		{ name = $2; sub(/^\*/, "", name) }
		name ~ /^stemma-[^\/]*$/ && length(name) > length(end) && substr(name, length(name) - length(end) + 1) == end { print name; exit }
	' "$work/SHA256SUMS")
	[ -n "$archive" ] || fail "the release at $from has nothing for $platform"
	fetch "$archive"
	want=$(awk -v name="$archive" '{ n = $2; sub(/^\*/, "", n) } n == name { print $1; exit }' "$work/SHA256SUMS")
	have=$(sum "$work/$archive")
	[ "$want" = "$have" ] || fail "$archive is not what was released: its SHA-256 is $have, that of the release $want. Nothing was installed."
	tar -xzf "$work/$archive" -C "$work"
	program=$work/${archive%.tar.gz}/stemma
	"$program" version >/dev/null || fail "the program does not run on this system. Nothing was installed."

	mkdir -p "$bin" || fail "the directory $bin cannot be made"
	# Into place by a rename: a process that runs the old program goes on with it.
	cp "$program" "$bin/.stemma.$$" && chmod 755 "$bin/.stemma.$$" && mv -f "$bin/.stemma.$$" "$bin/stemma" || {
		rm -f "$bin/.stemma.$$"
		fail "nothing can be written to $bin"
	}
	if [ -n "$dolt" ]; then
		if [ -e "$bin/dolt" ] && [ "$(readlink "$bin/dolt" || true)" != stemma ]; then fail "$bin/dolt is another program; it was left alone"; fi
		ln -sf stemma "$bin/dolt"
	fi
	echo "$("$bin/stemma" version | head -n 1) is installed in $bin"
	advise
}

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p;}' "$0" 2>/dev/null || echo "install.sh [--from PLACE] [--prefix DIR] [--dolt]"; }

fail() {
	echo "install.sh: $*" >&2
	exit 1
}

# platform says what this machine is in the words of the archives' names.
platform() {
	system=$(uname -s) machine=$(uname -m)
	case $system in
	Linux) os=linux ;;
	Darwin) os=darwin ;;
	MINGW* | MSYS* | CYGWIN*) fail "on Windows unpack the .zip of the release, or pip install stemma-db-bin" ;;
	*) fail "there is no stemma for $system" ;;
	esac
	case $machine in
	x86_64 | amd64) arch=amd64 ;;
	aarch64 | arm64) arch=arm64 ;;
	*) fail "there is no stemma for $system on $machine" ;;
	esac
	echo "$os-$arch"
}

# fetch gets a file of the release into the work directory.
fetch() {
	case $from in
	file://*) copy "${from#file://}/$1" ;;
	http://* | https://*)
		if command -v curl >/dev/null 2>&1; then
			curl -fsSL --retry 3 -o "$work/$1" "$from/$1" || fail "$from/$1 cannot be fetched"
		elif command -v wget >/dev/null 2>&1; then
			wget -q -O "$work/$1" "$from/$1" || fail "$from/$1 cannot be fetched"
		else
			fail "neither curl nor wget is there to fetch $from/$1"
		fi
		;;
	*://*) fail "$from is not a URL that can be fetched: http, https and file can" ;;
	*) copy "$from/$1" ;;
	esac
}

copy() {
	[ -f "$1" ] || fail "there is no file $1"
	cp "$1" "$work/"
}

# sum writes a file's SHA-256 in hexadecimal.
sum() {
	if command -v sha256sum >/dev/null 2>&1; then
		sha256sum "$1" | cut -d' ' -f1
	elif command -v shasum >/dev/null 2>&1; then
		shasum -a 256 "$1" | cut -d' ' -f1
	elif command -v openssl >/dev/null 2>&1; then
		openssl dgst -sha256 -r "$1" | cut -d' ' -f1
	else
		fail "no program for SHA-256 is there: sha256sum, shasum or openssl"
	fi
}

# advise says what to do for the shell to find the program, and to find this one.
advise() {
	case ":${PATH:-}:" in
	*":$bin:"*)
		found=$(command -v stemma || true)
		if [ -n "$found" ] && [ "$found" != "$bin/stemma" ]; then
			echo "But 'stemma' is $found, which comes first on PATH: put $bin before it."
		fi
		return
		;;
	esac
	case ${SHELL##*/} in
	fish) echo "It is not on PATH yet. Run: fish_add_path $bin" ;;
	zsh) profile .zshrc ;;
	bash) profile .bashrc ;;
	*) profile .profile ;;
	esac
}

profile() {
	echo "It is not on PATH yet. Run:"
	echo "  echo 'export PATH=\"$bin:\$PATH\"' >> ~/$1"
	echo "and start a new shell, or for this one: export PATH=\"$bin:\$PATH\""
}

# The whole script is read before anything is done: a download that is cut off does nothing.
main "$@"
