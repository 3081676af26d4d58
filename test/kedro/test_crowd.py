"""Twenty runs at once on one database, each on its own branch, all into one target."""

from __future__ import annotations

import threading
import time

import pytest

from project import Project
from stemma._run import Run

CROWD = 20


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
    failed: list[BaseException] = []
    landing: list[float] = []
    land = Run._land

    def timed(self: Run, *arguments: object) -> str:
        begin = time.perf_counter()
        try:
            return land(self, *arguments)
        finally:
            landing.append(time.perf_counter() - begin)

    monkeypatch.setattr(Run, "_land", timed)
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
    assert max(landing) < 10  # a second, on an idle machine; ten times that where each waits for all others
    print(f"seconds from commit to target: median {sorted(landing)[CROWD // 2]:.2f}, longest {max(landing):.2f}")
    assert not failed
    s = project.server
    assert [i for (i,) in s.query("select id from rows_of_runs order by id")] == list(range(CROWD + 1))
    assert s.query("select sum(v) from backs") == [(CROWD * (CROWD + 1),)]
    messages = s.messages()
    for n in range(1, CROWD + 1):
        assert messages.count(f"Update from kedro run: r{n}") == 1
    assert s.branches() == ["main"]
    assert s.query("select count(*) from stemma_runs where state = 'COMPLETE'") == [(CROWD + 1,)]
