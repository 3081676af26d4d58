#!/usr/bin/env bash
# The Metaflow example of README.md, from beginning to end. usage: run.sh [directory]
# The programs stemma and dolt, which is the same one, have to be on PATH. PYTHON is a Python with Metaflow and stemma's packages; otherwise
# the virtual environment of the tests with Metaflow is used. PRICES and HOSPITALS are how many there are.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
. "$here/../head.sh"
find_python metaflow
export PATH="$(dirname "$python"):$PATH" PYTHONWARNINGS=ignore METAFLOW_USER="${METAFLOW_USER:-oscarbatori}" STEMMA_PROGRESS=0
export METAFLOW_DATASTORE_SYSROOT_LOCAL=$work METAFLOW_HOME=$work/.metaflowconfig STEMMA_BINARY="$(command -v stemma)"
# Lines of Python are printed as typed into the interpreter, and run.
snippet() {
  printf '%s\n\n' "$1"
  "$python" -c "$1"
}

mkdir -p "$work/dolt-dbs"
cp "$here"/*.py "$work/dolt-dbs"
cd "$work/dolt-dbs"
prices=hospital-price-transparency analysis=hospital-price-analysis

step "The data: prices of hospitals, as they were published"
mkdir $prices && (cd $prices && dolt init >/dev/null)
"$python" prices.py $prices --prices "${PRICES:-60000}" --hospitals "${HOSPITALS:-1400}"
mkdir $analysis && cd $analysis
run dolt init
cd ..

step "A run of both flows on the newest prices"
run python3 hospital_procedure_price_state_medians.py --no-pylint run --hospital-price-db $prices --hospital-price-analysis-db $analysis
run python3 hospital_procedure_price_variance_by_state.py --no-pylint run --hospital-price-analysis-db $analysis
snippet "from metaflow import Flow
from dolt_integrations.metaflow import DoltDT
dolt = DoltDT(run=Flow('HospitalProcedurePriceVarianceByState').latest_successful_run)
df = dolt.read('variance_by_procedure')
print(df)"

step "Back-testing: the same on the prices of an old commit"
cd $prices
run dolt sql -q 'select commit_hash, message from dolt_commits where `date` < now() order by `date` desc limit 10;'
old=$(dolt sql -r csv -q "select commit_hash from dolt_commits where message like 'Updating prices%' order by \`date\` limit 1" | tail -n 1)
run dolt branch metaflow-backtest "$old"
cd ../$analysis
root=$(dolt sql -r csv -q 'select commit_hash from dolt_commits order by `date` limit 1' | tail -n 1)
run dolt branch metaflow-backtest "$root"
run dolt branch
cd ..
run python3 hospital_procedure_price_state_medians.py --no-pylint run --hospital-price-db $prices --hospital-price-db-branch metaflow-backtest \
  --hospital-price-analysis-db $analysis --hospital-price-analysis-db-branch metaflow-backtest
run python3 hospital_procedure_price_variance_by_state.py --no-pylint run --hospital-price-analysis-db $analysis --hospital-price-analysis-db-branch metaflow-backtest
snippet "from metaflow import Flow
from dolt_integrations.metaflow import DoltDT
dolt = DoltDT(run=Flow('HospitalProcedurePriceVarianceByState').latest_successful_run)
df = dolt.read('variance_by_procedure')
print(df)"
cd $analysis
run dolt sql -q "select * from variance_by_procedure as of 'metaflow-backtest' order by price desc limit 10;"

step "Reproducibility: a changed flow on the inputs of the first run"
run dolt log
pin=$(dolt sql -r csv -q "select commit_hash from dolt_log where message like 'Run: HospitalPriceStateMedians/%' limit 1" | tail -n 1)
run dolt branch metaflow-change "$pin"
cd ..
run python3 hospital_procedure_price_variance_by_state.py --no-pylint run --hospital-price-analysis-db $analysis \
  --hospital-price-analysis-db-branch metaflow-change --clean True
changed=$("$python" -c "from metaflow import Flow; print(Flow('HospitalProcedurePriceVarianceByState').latest_run.id)")
snippet "from dolt_integrations.metaflow import DoltDT
from metaflow import Run
doltdt = DoltDT(run=Run('HospitalProcedurePriceVarianceByState/$changed'))
df = doltdt.read('variance_by_procedure')
print(df)"

step "Lineage: from the variances to the prices that they came from"
snippet "from dolt_integrations.metaflow import DoltDT, DoltConfig
downstream_doltdt = DoltDT(config=DoltConfig(database='$work/dolt-dbs/$analysis'))
run = downstream_doltdt.get_run('variance_by_procedure')
print(repr(run))"
path=$("$python" -c "
from stemma.metaflow import DoltConfig, DoltDT
print(DoltDT(config=DoltConfig(database='$analysis')).get_run('variance_by_procedure'))")
path=${path%/*/*}
snippet "from metaflow import Run
from dolt_integrations.metaflow import DoltDT, DoltConfig
downstream_doltdt = DoltDT(config=DoltConfig(database='$work/dolt-dbs/$analysis'))
commit = Run('$path').data.dolt['actions']['state_procedure_medians']['commit']
run = downstream_doltdt.get_run('state_procedure_medians', commit)
print(repr(run))"
path=$("$python" -c "
from metaflow import Run
from stemma.metaflow import DoltConfig, DoltDT
commit = Run('$path').data.dolt['actions']['state_procedure_medians']['commit']
print(DoltDT(config=DoltConfig(database='$analysis')).get_run('state_procedure_medians', commit))")
path=${path%/*/*}
snippet "from metaflow import Run
from dolt_integrations.metaflow import DoltDT
upstream_doltdt = DoltDT(run=Run('$path'))
df = upstream_doltdt.read('prices')
print(df)"
