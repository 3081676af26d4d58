# Sourced by the examples' run.sh, with the example's directory in here.

step() { printf '\n== %s\n' "$*"; }

# run shows a command as it would be typed, and runs it.
run() {
  local word
  printf '$'
  for word in "$@"; do
    case $word in
    *[!a-zA-Z0-9_./:=,^@%+-]*) printf ' "%s"' "$word" ;;
    *) printf ' %s' "${word##*/bin/}" ;;
    esac
  done
  printf '\n'
  "$@"
}

# find_python sets python to the one that PYTHON names; otherwise to that of an environment of this source tree, made as test/venv.sh says.
find_python() {
  python=${PYTHON:-}
  if [ -z "$python" ]; then
    local before=$PWD
    cd "$here/../.."
    . test/venv.sh
    environment "$1"
    cd "$before"
    python=$venv/bin/python
  fi
}
