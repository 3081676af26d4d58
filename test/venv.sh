# Sourced, in the directory of the project, by what runs something in a virtual environment of its own.

# Modules are compiled when they are first imported, and kept: the tests start hundreds of processes, and pandas takes a second to compile.
unset PYTHONDONTWRITEBYTECODE

# sources lists what an environment is made of: a file names packages to install, one whose name ends in -alone.txt such as to install without
# what they say they need; a directory is a package of this project.
sources() {
  case $1 in
  python) echo python/tests/requirements.txt python ;;
  clients) echo test/clients/requirements.txt test/clients/requirements-alone.txt ;;
  kedro | metaflow) echo "test/$1/requirements.txt" python python/dolt-compat ;;
  kalido) echo examples/kalido/requirements.txt ;;
  esac
}

# environment makes the virtual environment .venv/NAME, unless it is there as its sources say, and sets venv to it. Where Python is too old it
# says so and exits, with an error when CI=true.
environment() {
  local name=$1 source quiet wanted
  if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "$name: Python 3.11 or newer is needed" >&2
    if [ "${CI:-}" = true ]; then exit 1; fi
    exit 0
  fi
  venv=$PWD/.venv/$name
  wanted=$(for source in $(sources "$name"); do if [ -d "$source" ]; then cat "$source/pyproject.toml"; else cat "$source"; fi; done)
  if [ -e "$venv/ready" ] && [ "$wanted" = "$(cat "$venv/ready")" ]; then return; fi
  echo "setting up .venv/$name (once)"
  python3 -m venv --clear "$venv"
  quiet=(--quiet --disable-pip-version-check --no-compile) # modules are compiled when they are imported, and most never are
  for source in $(sources "$name"); do
    if [ -d "$source" ]; then
      STEMMA_PURE=1 "$venv/bin/pip" install "${quiet[@]}" --no-deps --no-build-isolation -e "$source"
    else
      case $source in
      *-alone.txt) "$venv/bin/pip" install "${quiet[@]}" --no-deps -r "$source" ;;
      *) "$venv/bin/pip" install "${quiet[@]}" -r "$source" ;;
      esac
    fi
  done
  printf '%s\n' "$wanted" >"$venv/ready"
}

# tests runs those of a directory in its environment. Arguments behind it are pytest's; with --setup the environment is all that is made.
tests() {
  local directory=$1
  shift
  environment "${directory##*/}"
  if [ "${1:-}" = --setup ]; then exit 0; fi
  exec "$venv/bin/pytest" -c "$directory/pytest.ini" --rootdir "$directory" "$directory" "$@"
}
