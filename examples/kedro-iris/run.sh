#!/usr/bin/env bash
# The Kedro example of README.md, from beginning to end. usage: run.sh [directory]
# The programs stemma and dolt, which is the same one, have to be on PATH. PYTHON is a Python with Kedro and stemma's package; otherwise the
# virtual environment of the tests with Kedro is used.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
. "$here/../head.sh"
find_python kedro
export PATH="$(dirname "$python"):$PATH" DO_NOT_TRACK=1 PYTHONWARNINGS=ignore STEMMA_BINARY="$(command -v stemma)"

project=$work/kedro-dolt-demo
mkdir -p "$project"
cp -R "$here/conf" "$here/src" "$here/data" "$here/pyproject.toml" "$project"
cd "$project"
export KEDRO_LOGGING_CONFIG=$project/conf/logging.yml
"$python" - <<'PY'
from sklearn.datasets import load_iris

iris = load_iris(as_frame=True)
iris.frame.assign(target=[iris.target_names[t] for t in iris.target]).to_csv("data/01_raw/iris.csv", index=False)
PY
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed -i.old "s/localhost:3306/localhost:$port/" conf/base/catalog.yml

step "A database, and a server of it"
run dolt init
printf '$ dolt sql-server --max-connections=10 -l trace\n'
dolt sql-server --max-connections=10 -l trace -P "$port" >server.log 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true' EXIT
for _ in $(seq 300); do
  if "$python" -c "import socket; socket.create_connection(('localhost', $port), 1)" 2>/dev/null; then break; fi
  sleep 0.1
done
head -n 1 server.log

step "Two runs with different parameters"
run kedro run --params example_test_data_ratio=0.1
run kedro run --params example_test_data_ratio=0.2
run dolt log

step "What they differ in"
run dolt diff HEAD HEAD^ example_test_x --limit 5
run dolt sql -q "
    select to_sepal_width, from_sepal_width, diff_type, to_commit, from_commit
    from dolt_diff_example_test_x
    where from_commit = hashof('HEAD^') and
          to_commit = hashof('HEAD')
    limit 5"

step "A run on a branch"
run kedro run --params branch=new,example_test_data_ratio=0.3
run dolt diff master new example_test_x --limit 5

step "A query of the branch, in a pipeline and by itself"
run kedro run --pipelines select
run dolt sql -q "select * from example_test_y as of hashof('new') limit 5"

step "The commit of a run"
id=$(dolt sql -r csv -q "select substring(message, 24) from dolt_log limit 1" | tail -n 1)
run dolt sql -q "
    select commit_hash, message
    from dolt_commits
    where message like '%$id'"
run dolt sql -q "
    select commit_hash, metadata->'$.params.example_test_data_ratio' as ratio
    from dolt_commits
    where metadata->'$.params.example_test_data_ratio' = 0.3"

step "A message with the parameters"
cat >>src/kedro_dolt_demo/hooks.py <<'PY'

    def _commit_message(self, run_params: Dict[str, Any]):
        import json
        return f"Update from kedro run: {json.dumps(run_params['extra_params'])}"
PY
sed -i.old 's/^from stemma.kedro/from typing import Any, Dict\n\nfrom stemma.kedro/' src/kedro_dolt_demo/hooks.py
run kedro run --params branch=new
run dolt checkout new
run dolt sql -q "select message from dolt_log limit 1"
run dolt checkout main

step "The same by Kedro's own commands"
run kedro stemma log -n 1
run kedro stemma diff HEAD^ HEAD
