"""The flows and snippets of the announcement of 2021, on prices of its shape."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import HOSPITAL, dolt, flow, made

MEDIANS = HOSPITAL / "hospital_procedure_price_state_medians.py"
VARIANCE = HOSPITAL / "hospital_procedure_price_variance_by_state.py"


@dataclass
class Pipeline:
    """Two databases and the first run of both flows on them."""

    prices: str
    analysis: str
    medians: str
    variance: str


def latest(name: str) -> Any:
    from metaflow import Flow

    return Flow(name).latest_successful_run


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    base = tmp_path_factory.mktemp("dolt-dbs")
    prices = made(base / "hospital-price-transparency", "-b", "master")
    analysis = made(base / "hospital-price-analysis", "-b", "master")
    subprocess.run([sys.executable, HOSPITAL / "prices.py", prices, "--prices", "20000", "--hospitals", "120"], check=True)
    flow(MEDIANS, "--hospital-price-db", prices, "--hospital-price-analysis-db", analysis)
    flow(VARIANCE, "--hospital-price-analysis-db", analysis)
    return Pipeline(prices, analysis, latest("HospitalPriceStateMedians").id, latest("HospitalProcedurePriceVarianceByState").id)


def test_results_of_the_last_run(pipeline: Pipeline) -> None:
    from metaflow import Run

    from dolt_integrations.metaflow import DoltDT

    doltdt = DoltDT(run=Run(f"HospitalProcedurePriceVarianceByState/{pipeline.variance}"))
    df = doltdt.read("variance_by_procedure")
    assert list(df.columns) == ["code", "price"]
    assert list(df.index[:3]) == [0, 1, 2]
    codes = set(df["code"])
    assert "nan,5" in codes
    assert any(c.startswith("CPT® 86708,") for c in codes)


def test_no_row_is_left_out(pipeline: Pipeline) -> None:
    """A variance over one state is no number; the row is there all the same."""
    from metaflow import Run

    from stemma.metaflow import DoltDT

    dt = DoltDT(run=Run(f"HospitalProcedurePriceVarianceByState/{pipeline.variance}"))
    medians, variance = dt.read("state_procedure_medians"), dt.read("variance_by_procedure")
    assert len(variance) == medians["code"].nunique()
    alone = medians.groupby("code").size()
    assert variance["price"].isna().sum() == (alone == 1).sum() > 0


def test_log_names_the_tasks(pipeline: Pipeline) -> None:
    said = dolt(pipeline.analysis, "log")
    assert f"\tRun: HospitalPriceStateMedians/{pipeline.medians}/start/1\n" in said
    assert f"\tRun: HospitalProcedurePriceVarianceByState/{pipeline.variance}/start/1\n" in said
    assert "Author: oscarbatori <oscarbatori@gmail.com>" in said


def test_audit_is_a_read_only_mapping_that_prints_as_a_dict(pipeline: Pipeline) -> None:
    from metaflow import Run

    audit = Run(f"HospitalProcedurePriceVarianceByState/{pipeline.variance}").data.dolt
    assert set(audit) == {"actions", "configs"}
    assert json.loads(json.dumps(audit)) == audit == eval(repr(audit))
    action = audit["actions"]["state_procedure_medians"]
    assert (action["kind"], action["table_name"], action["query"]) == ("read", "state_procedure_medians", "SELECT * FROM `state_procedure_medians`")
    assert audit["configs"][action["config_id"]]["database"] == pipeline.analysis
    assert audit["configs"][action["config_id"]]["branch"] == "master"
    for change in (lambda: audit.update(x=1), lambda: audit.pop("actions"), lambda: audit.__setitem__("actions", {})):
        with pytest.raises(TypeError, match="cannot be changed"):
            change()


def test_lineage_back_to_the_raw_input(pipeline: Pipeline) -> None:
    from metaflow import Run

    from dolt_integrations.metaflow import DoltConfig, DoltDT

    downstream_doltdt = DoltDT(config=DoltConfig(database=pipeline.analysis))
    run = downstream_doltdt.get_run("variance_by_procedure")
    assert run == f"HospitalProcedurePriceVarianceByState/{pipeline.variance}/start/1"
    commit = Run(f"HospitalProcedurePriceVarianceByState/{pipeline.variance}").data.dolt["actions"]["state_procedure_medians"]["commit"]
    run = downstream_doltdt.get_run("state_procedure_medians", commit)
    assert run == f"HospitalPriceStateMedians/{pipeline.medians}/start/1"
    upstream_doltdt = DoltDT(run=Run(f"HospitalPriceStateMedians/{pipeline.medians}"))
    df = upstream_doltdt.read("prices")
    assert list(df.columns) == ["npi_number", "code", "payer", "price"]
    assert len(df) == 20_000
    assert df["npi_number"].str.endswith(".0").any()


def test_get_run_looks_where_the_commit_itself_did_not_touch_the_table(pipeline: Pipeline) -> None:
    from dolt_integrations.metaflow import DoltConfig, DoltDT

    dt = DoltDT(config=DoltConfig(database=pipeline.analysis))
    assert dt.get_run("state_procedure_medians") == dt.get_run("state_procedure_medians", "master")
    assert dt.get_run("state_procedure_medians", "HEAD") == f"HospitalPriceStateMedians/{pipeline.medians}/start/1"


def test_back_test_on_an_old_commit(pipeline: Pipeline) -> None:
    from dolt_integrations.metaflow import DoltDT

    found = dolt(pipeline.prices, "sql", "-r", "csv", "-q", "select commit_hash from dolt_commits where message like 'Updating prices%' order by `date` limit 1")
    dolt(pipeline.prices, "branch", "metaflow-backtest", found.split()[1])
    root = dolt(pipeline.analysis, "sql", "-r", "csv", "-q", "select commit_hash from dolt_commits order by `date` limit 1").split()[1]
    dolt(pipeline.analysis, "branch", "metaflow-backtest", root)
    flow(
        MEDIANS, "--hospital-price-db", pipeline.prices, "--hospital-price-db-branch", "metaflow-backtest",
        "--hospital-price-analysis-db", pipeline.analysis, "--hospital-price-analysis-db-branch", "metaflow-backtest",
    )  # fmt: skip
    flow(VARIANCE, "--hospital-price-analysis-db", pipeline.analysis, "--hospital-price-analysis-db-branch", "metaflow-backtest")
    df = DoltDT(run=latest("HospitalProcedurePriceVarianceByState")).read("variance_by_procedure")
    count = "select count(*) from variance_by_procedure as of '{}'"
    old, new = (int(dolt(pipeline.analysis, "sql", "-r", "csv", "-q", count.format(b)).split()[1]) for b in ("metaflow-backtest", "master"))
    assert len(df) == old < new


def test_a_changed_flow_on_a_pinned_branch(pipeline: Pipeline) -> None:
    from metaflow import Run

    from dolt_integrations.metaflow import DoltDT

    pin = Run(f"HospitalPriceStateMedians/{pipeline.medians}").data.dolt["actions"]["state_procedure_medians"]["commit"]
    dolt(pipeline.analysis, "branch", "metaflow-change", pin)
    flow(VARIANCE, "--hospital-price-analysis-db", pipeline.analysis, "--hospital-price-analysis-db-branch", "metaflow-change", "--clean", "True")
    run = latest("HospitalProcedurePriceVarianceByState")
    doltdt = DoltDT(run=Run(f"HospitalProcedurePriceVarianceByState/{run.id}"))
    df = doltdt.read("variance_by_procedure")
    assert not df["code"].str.startswith("nan").any()
    assert "index" not in df.columns
    assert run.data.dolt["actions"]["state_procedure_medians"]["commit"] == pin


def test_reproducing_the_inputs_of_an_old_run(pipeline: Pipeline) -> None:
    """An audit beside a config reads by the audit and writes by the config, though the table has changed since."""
    from metaflow import Run

    dolt(pipeline.analysis, "branch", "again", "master")
    dolt(pipeline.analysis, "sql", "-q", "use `hospital-price-analysis/again`; delete from state_procedure_medians where code like 'L%'; call dolt_commit('-am', 'lost some')")
    flow(
        VARIANCE, "--hospital-price-analysis-db", pipeline.analysis, "--hospital-price-analysis-db-branch", "again",
        "--historical-run-path", f"HospitalProcedurePriceVarianceByState/{pipeline.variance}",
    )  # fmt: skip
    old = Run(f"HospitalProcedurePriceVarianceByState/{pipeline.variance}").data.dolt["actions"]
    new = latest("HospitalProcedurePriceVarianceByState").data.dolt["actions"]
    assert new["state_procedure_medians"]["commit"] == old["state_procedure_medians"]["commit"]
    same = "select dolt_hashof_table('variance_by_procedure')"
    there, here = (dolt(pipeline.analysis, "sql", "-r", "csv", "-q", f"use `hospital-price-analysis/{b}`; {same}").split()[-1] for b in ("master", "again"))
    assert there == here


def test_a_historical_path_beside_a_config(pipeline: Pipeline) -> None:
    """The path of a run where `self` is usual: the reads are those of that run, the config says where to write."""
    flow(
        MEDIANS, "--hospital-price-db", pipeline.prices, "--hospital-price-analysis-db", pipeline.analysis,
        "--historical-run-path", f"HospitalPriceStateMedians/{pipeline.medians}",
    )  # fmt: skip
    from metaflow import Run

    old = Run(f"HospitalPriceStateMedians/{pipeline.medians}").data.dolt["actions"]
    new = latest("HospitalPriceStateMedians").data.dolt["actions"]
    assert {k: new[k]["commit"] for k in ("prices", "hospitals")} == {k: old[k]["commit"] for k in ("prices", "hospitals")}


def test_diff(pipeline: Pipeline) -> None:
    from dolt_integrations.metaflow import DoltConfig, DoltDT

    dt = DoltDT(config=DoltConfig(database=pipeline.prices, branch="master"))
    found = dt.diff("HEAD~2", "HEAD", ["hospitals", "prices"])
    assert list(found) == ["hospitals", "prices"]
    assert set(found["hospitals"]["diff_type"]) == {"added"}
    assert len(found["hospitals"]) == 20


# As the announcement prints it, but for numeric_only=True (row C25).
PRINTED_STEP = """
    @step
    def start(self):
        analysis_conf = DoltConfig(
            database=self.hospital_price_analysis_db,
            branch=self.hospital_price_analysis_db_branch
        )

        with DoltDT(run=self.historical_run_path or self, config=analysis_conf) as dolt:
            median_price_by_state = dolt.read("state_procedure_medians")
            clean = median_price_by_state[~median_price_by_state['code'].str.startswith('nan')]
            variance_by_procedure = clean.groupby("code").var(numeric_only=True)
            dolt.write(variance_by_procedure, "variance_by_procedure")

        self.next(self.end)
"""


@pytest.mark.parametrize("historical", [False, True], ids=["now", "historical"])
def test_printed_step(pipeline: Pipeline, tmp_path: Path, historical: bool) -> None:
    """The step as it is printed: it writes to the branch of its config also when it reads what an earlier run read."""
    branch = f"printed-{historical}"
    dolt(pipeline.analysis, "branch", branch, pinned(pipeline)[:32])
    head, rest = VARIANCE.read_text().split("    @step\n", 1)
    file = tmp_path / "printed.py"
    file.write_text(head + PRINTED_STEP.lstrip("\n") + "\n    @step\n" + rest.split("    @step\n", 1)[1])
    given = ["--historical-run-path", f"HospitalProcedurePriceVarianceByState/{pipeline.variance}"] if historical else []
    flow(file, "--hospital-price-analysis-db", pipeline.analysis, "--hospital-price-analysis-db-branch", branch, *given)
    count = f"select sum(code like 'nan%') as corrupt, count(*) > 0 as has from variance_by_procedure as of '{branch}'"
    assert dolt(pipeline.analysis, "sql", "-r", "csv", "-q", count).split()[1] in {"0,1", "0,true"}
    made = latest("HospitalProcedurePriceVarianceByState")
    said = dolt(pipeline.analysis, "log", branch, "-n", "1")
    assert f"Run: HospitalProcedurePriceVarianceByState/{made.id}/start/1" in said
    assert made.data.dolt["actions"]["state_procedure_medians"]["commit"][:32] == pinned(pipeline)[:32]


def pinned(pipeline: Pipeline) -> str:
    """The commit of the medians of the first run."""
    from metaflow import Run

    return str(Run(f"HospitalPriceStateMedians/{pipeline.medians}").data.dolt["actions"]["state_procedure_medians"]["commit"])


# The lines that the announcement has its readers type into an interpreter, after the names of its author's machine and runs.
TYPED = """
from metaflow import Flow
from dolt_integrations.metaflow import DoltDT
dolt = DoltDT(run=Flow('HospitalProcedurePriceVarianceByState').latest_successful_run)
df = dolt.read('variance_by_procedure')
print(df)

from dolt_integrations.metaflow import DoltDT
from metaflow import Run
doltdt = DoltDT(run=Run('HospitalProcedurePriceVarianceByState/{variance}'))
df =doltdt.read('variance_by_procedure')

from dolt_integrations.metaflow import DoltDT, DoltConfig
downstream_doltdt = DoltDT(config=DoltConfig(database='{analysis}'))
run = downstream_doltdt.get_run('variance_by_procedure')
print(run)

commit = Run('HospitalProcedurePriceVarianceByState/{variance}').data.dolt['actions']['state_procedure_medians']['commit']
run = downstream_doltdt.get_run('state_procedure_medians', commit)
print(run)

upstream_doltdt = DoltDT(run=Run('HospitalPriceStateMedians/{medians}'))
df = upstream_doltdt.read('prices')
print(df)
"""


def test_typed_lines(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    said = []
    for lines in TYPED.format_map(vars(pipeline)).strip().split("\n\n"):
        exec(lines, names)
        said.append(capsys.readouterr().out)
        if "doltdt =" in lines and "df =doltdt" in lines:
            assert list(names["df"].columns) == ["code", "price"]  # row C30
    assert "rows x 2 columns]" in said[0]
    # Row C31: the path as it is, where the announcement shows it in quotes.
    assert said[2] == f"HospitalProcedurePriceVarianceByState/{pipeline.variance}/start/1\n"
    assert len(names["commit"]) == 52  # row C32
    assert names["downstream_doltdt"].get_run("state_procedure_medians", names["commit"][:32]) == names["run"]
    assert said[3] == f"HospitalPriceStateMedians/{pipeline.medians}/start/1\n"  # row C33
    assert "[20000 rows x 4 columns]" in said[4]
