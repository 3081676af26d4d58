#!/usr/bin/env bash
# The example of README.md, from beginning to end. usage: run.sh [directory]
# KALIDO_POSTGRES is the address of a PostgreSQL database to fill; otherwise a server is started. PYTHON is a Python with requirements.txt;
# otherwise a virtual environment is made.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
. "$here/../head.sh"
find_python kalido
# The package stemma is the one of the Python, or that of this source tree.
"$python" -c 'import stemma' 2>/dev/null || export PYTHONPATH=$here/../../python/src${PYTHONPATH:+:$PYTHONPATH}

mkdir -p "$work/crm"
cd "$work/crm"

url=${KALIDO_POSTGRES:-}
if [ -z "$url" ]; then
  bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
  if [ -z "$bin" ]; then
    echo "the package postgresql is not installed, and KALIDO_POSTGRES is not set" >&2
    exit 1
  fi
  server=$(mktemp -d)
  as=()
  if [ "$(id -u)" = 0 ]; then
    chown postgres "$server"
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
  fi
  (cd "$server" && "${as[@]}" "$bin/initdb" -D "$server/data" -U etl --auth=trust -E UTF8 --locale=C -N >/dev/null)
  (cd "$server" && "${as[@]}" "$bin/pg_ctl" -D "$server/data" -o "-k $server -c listen_addresses='' -c fsync=off" -w -l "$server/log" start >/dev/null)
  trap '(cd "$server" && "${as[@]}" "$bin/pg_ctl" -D "$server/data" -m immediate stop >/dev/null); rm -rf "$server"' EXIT
  url="postgres://etl@/postgres?host=$server"
fi
psql=$(command -v psql || ls /usr/lib/postgresql/*/bin/psql 2>/dev/null | tail -n 1)
change() { "$psql" -q -v ON_ERROR_STOP=1 "$url" -c "$1"; }

step "The client's data"
change "drop table if exists client_data;
create table client_data (id int primary key, description text not null, skill text not null, country varchar(2),
  updated timestamptz not null default '2021-04-01 09:00+00');
insert into client_data (id, description, skill, country)
select i, (array['builds data pipelines in python', 'designs brand and layout', 'leads sales in europe', 'trains language models'])[1 + i % 4] || ' for ' || i % 7 || ' years',
       (array['engineering', 'design', 'sales', 'research'])[1 + i % 4], (array['DE', 'FR', 'GB'])[1 + i % 3]
from generate_series(1, 400) i"
run stemma init
run stemma ingest "$url" -t client_data
clients=$(stemma log -n 1 --oneline | cut -d ' ' -f 1)

step "A batch of labels, on a branch, reviewed and merged"
texts=("writes services in go" "draws icons and type" "sells to large firms" "reads papers on attention")
skills=(engineering design sales research)
label() {
  echo id,description,skill
  for i in $(seq "$1" "$2"); do
    echo "$i,${texts[$((i % 4))]} and $((i % 5)) more,${skills[$((i % 4))]}"
  done
}
label 1001 1080 >labelled_data.csv
label 1081 1100 >held_out.csv
run stemma checkout -b labels/batch-1
run stemma table import -c --quiet --pk id labelled_data labelled_data.csv
run stemma table import -c --quiet --pk id held_out held_out.csv
run stemma commit -Am "batch 1 of the labellers"
run stemma diff --stat main labels/batch-1
run stemma checkout main
run stemma merge --no-ff -m "batch 1, reviewed" labels/batch-1
labels=$(stemma log -n 1 --oneline | cut -d ' ' -f 1)

step "The training configuration, and its lock"
cat >stemma.yaml <<YAML
model: {kind: logistic-regression, features: 64}
train:
- client_data@$clients
- labelled_data@$labels
test:
- held_out@$labels
YAML
cat stemma.yaml
run stemma data lock
run stemma data verify
run "$python" "$here/train.py" model-1.json
cp stemma.lock model-1.lock
run stemma data retrain

step "The client changes the data"
change "update client_data set description = 'trains vision models for 9 years' where id % 10 = 0; delete from client_data where id > 390;
insert into client_data (id, description, skill, country) select i, 'writes compilers in go', 'engineering', 'IT' from generate_series(401, 420) i"
run stemma ingest "$url" -t client_data
retrain=0
run stemma data retrain || retrain=$?
if [ "$retrain" != 10 ]; then
  echo "data retrain exits with $retrain, not 10" >&2
  exit 1
fi

step "A new model of the new commit"
now=$(stemma log -n 1 --oneline | cut -d ' ' -f 1)
sed -i.old "s/client_data@.*/client_data@$now/" stemma.yaml
run stemma data lock
difference=0
run stemma data diff model-1.lock stemma.lock || difference=$?
[ "$difference" = 1 ]
run "$python" "$here/train.py" model-2.json
run stemma data retrain

step "The old model, from its lock"
run stemma data verify --lock model-1.lock
run "$python" "$here/train.py" again.json model-1.lock
run cmp model-1.json again.json
if cmp -s model-1.json model-2.json; then
  echo "the two models are the same" >&2
  exit 1
fi
echo "The model of model-1.lock is the same, bit for bit."
