"""What the database records of runs."""

from __future__ import annotations

import pytest

import stemma
from project import OWN, PIPELINE, PLAIN, Project

SECOND = """
    old = register_pipelines

    def third(b):
        return b.assign(v=b["v"] + 1)

    def register_pipelines():
        return {**old(), "third": pipeline([node(third, "b", "c", name="third")])}
"""


def of(catalog: str) -> str:
    """The catalog with a third dataset, like the second."""
    lines = catalog.strip().splitlines()
    return "\n".join([*lines, lines[1].replace("b:", "c:", 1).replace(": b,", ": c,")]) + "\n"


@pytest.fixture(params=[PLAIN, OWN], ids=["plain", "own"])
def shop(project: Project, request: pytest.FixtureRequest) -> Project:
    project.catalog(of(request.param))
    import textwrap

    project.pipeline(PIPELINE + textwrap.dedent(SECOND))
    return project


def test_runs_inputs_and_outputs(shop: Project) -> None:
    s = shop.server
    first = shop.run(n=1)
    made = s.head()
    second = shop.run(pipelines=["third"])
    with pytest.raises(RuntimeError):
        shop.run(pipelines=["bad"], n=2)
    runs = s.query("select external_id, `system`, state, result_commit, branch, params->'$.n', error from stemma_runs order by started_at")
    assert [(r[0], r[1], r[2]) for r in runs[:2]] == [(first, "kedro", "COMPLETE"), (second, "kedro", "COMPLETE")]
    assert [r[3][:32] for r in runs[:2]] == [made, s.head()]
    assert runs[2][2] == "FAIL"
    assert "no luck" in runs[2][6]
    assert {r[4] for r in runs} == {"main"}
    wrote = s.query(
        "select o.table_name, o.before_hash is null, o.after_hash, left(o.commit_hash, 32) "
        "from stemma_run_outputs o join stemma_runs r on r.run_uid = o.run_uid where r.external_id = %s order by o.table_name",
        first,
    )
    assert [w[:2] for w in wrote] == [("a", 1), ("b", 1)]
    assert {w[3] for w in wrote} == {made}
    parts = "select o.table_name, o.node, o.dataset_alias from stemma_run_outputs o join stemma_runs r on r.run_uid = o.run_uid where r.external_id = %s order by 1"
    assert s.query(parts, first) == [("a", "first", "a"), ("b", "second", "b")]
    assert s.query(parts, second) == [("c", "third", "c")]
    read = s.query(
        "select i.table_name, i.node, i.dataset_alias, i.table_hash from stemma_run_inputs i join stemma_runs r on r.run_uid = i.run_uid "
        "where r.external_id = %s and i.table_name = 'b'",
        second,
    )
    assert {r[:3] for r in read} == {("b", "third", "b")}
    assert wrote[1][2] in {r[3] for r in read}


def test_two_runs_with_one_id_that_are_over(project: Project) -> None:
    from kedro.framework.session.service_session import KedroServiceSession
    from kedro.framework.startup import bootstrap_project

    project.catalog(OWN)
    project.pipeline(PIPELINE)
    bootstrap_project(project.directory)
    with KedroServiceSession.create(project_path=project.directory) as session:
        session.run(run_id="mine", runtime_params={"n": 1})
        with pytest.raises(stemma.ExistsError, match="two runs with the id mine"):
            session.run(run_id="mine", runtime_params={"n": 2})
    assert project.server.branches() == ["main"]
    assert project.server.messages() == ["Update from kedro run: mine"]


def test_the_way_back(shop: Project) -> None:
    first = shop.run(n=1)
    made = shop.server.head()
    second = shop.run(pipelines=["third"])
    said = shop.kedro("stemma", "lineage", "c", "-d", shop.server.database)
    lines = [[w.strip() for w in line.split("|")[1:-1]] for line in said.splitlines() if line.startswith("| ")]
    assert lines[0] == ["level", "table", "commit", "run", "system", "state", "source", "source_commit"]
    assert ["1", "c", shop.server.head(), second, "kedro", "COMPLETE", "b"] in [x[:7] for x in lines]
    # What the first run read it had made itself.
    assert ["2", "b", made, first, "kedro", "COMPLETE", "NULL", "NULL"] in lines
    said = shop.kedro("stemma", "lineage", "c", "--ref", "HEAD~1", "-d", shop.server.database, fails=True)
    assert "table not found: c" in said


def test_a_table_that_no_run_made(project: Project) -> None:
    project.catalog(OWN)
    project.pipeline(PIPELINE)
    project.run(n=1)
    project.server.query("delete from b limit 1")
    project.server.query("call dolt_commit('-am', 'by hand')")
    said = project.kedro("stemma", "lineage", "b", "-d", project.server.database, fails=True)
    assert "no run that is recorded has made b" in said
