"""Twenty runs at once on one database, each on its own branch, all into one target."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import pytest

from project import Project
from stemma._run import Run

CROWD = 20


@dataclass
class Landing:
    """A run's way from its commit into the target.

    Attributes:
        begin, end: when it began and ended, in seconds.
        processor: seconds for which the server was busy meanwhile.
        tries: how often the run has looked where the target is.

    """

    begin: float
    processor: float
    end: float = 0.0
    tries: int = 0


ALONE = 3


def test_crowd(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from kedro.framework.session.service_session import KedroServiceSession
    from kedro.framework.startup import bootstrap_project

    project.catalog(
        """
        rows: {type: stemma.kedro.TableDataset, table: rows_of_runs, credentials: stemma, primary_key: id, mode: upsert}
        back: {type: stemma.kedro.TableDataset, table: backs, credentials: stemma, primary_key: id, mode: upsert}
        """
    )
    project.pipeline(
        """
        def rows(n):
            return pd.DataFrame({"id": [n], "v": [n]})

        def again(rows, n):
            assert n in rows["id"].tolist()
            return rows[rows["id"] == n].assign(v=n * 2)

        def register_pipelines():
            return {"__default__": pipeline([node(rows, "params:n", "rows"), node(again, ["rows", "params:n"], "back")])}
        """
    )
    project.run(n=0)
    bootstrap_project(project.directory)
    s = project.server
    failed: list[BaseException] = []
    landings: list[Landing] = []
    land, head = Run._land, Run._head

    def watched(self: Run, *arguments: object) -> str:
        if self.target == "alone":
            s.query("create table if not exists others (i int primary key auto_increment)", branch="alone")
            s.query("insert into others values ()", branch="alone")
            s.query("call dolt_commit('-Am', 'others')", branch="alone")
        one = Landing(time.perf_counter(), s.processor())
        self.landing = one
        try:
            return land(self, *arguments)
        finally:
            one.end, one.processor = time.perf_counter(), s.processor() - one.processor
            landings.append(one)

    def looked(self: Run, branch: str) -> str:
        if branch == self.target and (one := getattr(self, "landing", None)) is not None:
            one.tries += 1
        return head(self, branch)

    monkeypatch.setattr(Run, "_land", watched)
    monkeypatch.setattr(Run, "_head", looked)
    # For how long the server is busy with one whose target has moved, when nobody else is there.
    for n in range(ALONE):
        project.run(n=n, branch="alone")
    alone = sorted(one.processor for one in landings)[ALONE // 2]
    landings.clear()
    start = threading.Barrier(CROWD)
    with KedroServiceSession.create(project_path=project.directory, serving_mode=True) as session:

        def run(n: int) -> None:
            try:
                start.wait(30)
                session.run(run_id=f"r{n}", runtime_params={"n": n})
            except BaseException as e:
                failed.append(e)

        threads = [threading.Thread(target=run, args=(n,)) for n in range(1, CROWD + 1)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert not failed
    # A run can only wait for those that landed while it did, and for each of them as long as that kept the server busy. This much does
    # not depend on what else the machine has to do, as the time that passed does.
    before = [sum(1 for o in landings if o is not one and one.begin < o.end < one.end) for one in landings]
    took = sorted(one.end - one.begin for one in landings)
    print(
        f"seconds from commit to target: median {took[CROWD // 2]:.2f}, longest {took[-1]:.2f}; the server works {alone * 1e3:.0f} ms for one, "
        f"and at most {max(before)} of {CROWD} go before another, which tries {max(one.tries for one in landings)} times"
    )
    assert max(before) * alone < 1
    # One try finds that the target has moved, the next one merges, and the server lets that come to an end.
    assert max(one.tries for one in landings) <= 3
    assert [i for (i,) in s.query("select id from rows_of_runs order by id")] == list(range(CROWD + 1))
    assert s.query("select sum(v) from backs") == [(CROWD * (CROWD + 1),)]
    messages = s.messages()
    for n in range(1, CROWD + 1):
        assert messages.count(f"Update from kedro run: r{n}") == 1
    assert s.branches() == ["alone", "main"]
    assert s.query("select count(*) from stemma_runs where state = 'COMPLETE'") == [(CROWD + 1 + ALONE,)]
