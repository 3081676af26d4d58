"""What the database records of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import stemma
from project import OWN, PIPELINE, PLAIN, Project, served

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


@pytest.mark.parametrize("kind", ["own", "plain"])
def test_what_comes_through_memory(project: Project, kind: str) -> None:
    """A table is made from what the nodes before its own read, when their results come to it in memory; and from nothing else."""
    own = "{{type: stemma.kedro.TableDataset, table: {0}, credentials: stemma, primary_key: id}}"
    plain = "{{type: pandas.SQLTableDataset, table_name: {0}, credentials: sql, save_args: {{if_exists: replace}}}}"
    project.catalog("".join(f"{n}: {(own if kind == 'own' else plain).format(n)}\n" for n in "abcde"))
    project.pipeline(
        """
        def made(n):
            return pd.DataFrame({"id": [1, 2, 3], "v": [n, n, n]})

        def same(x):
            return x

        def both(x, y):
            return x

        def register_pipelines():
            first = pipeline([node(made, "params:n", "a", name="a"), node(made, "params:n", "b", name="b")])
            later = [node(same, "a", "clean", name="clean"), node(same, "clean", "cleaner", name="cleaner"), node(same, "cleaner", "c", name="c")]
            later += [node(same, "b", "d", name="d"), node(both, ["cleaner", "d"], "e", name="e")]
            return {"__default__": first, "later": pipeline(later)}
        """
    )
    project.run(n=1)
    run = project.run(pipelines=["later"])
    s = project.server
    edges = "select distinct input_table, output_table from stemma_lineage_edges e join stemma_runs r on r.run_uid = e.run_uid where r.external_id = %s order by 2, 1"
    assert s.query(edges, run) == [("a", "c"), ("b", "d"), ("a", "e"), ("b", "e")]
    said = project.kedro("stemma", "lineage", "c", "-d", s.database)
    assert any(line.split("|")[2].strip() == "c" and "| a " in line for line in said.splitlines() if line.startswith("| 1"))


def test_two_databases(tmp_path: Path) -> None:
    """What a run reads in one database is recorded with what it writes to another."""
    with served(tmp_path / "raw") as raw, served(tmp_path / "made" / "made") as made:
        project = Project(tmp_path / "project", made, settings=None)
        project.catalog(
            """
            prices: {type: stemma.kedro.TableDataset, table: prices, credentials: raw, primary_key: id}
            medians: {type: stemma.kedro.TableDataset, table: medians, credentials: stemma, primary_key: id}
            """
        )
        project.write("conf/local/credentials.yml", f"stemma: {{uri: '{made.uri}'}}\nraw: {{uri: '{raw.uri}'}}\n")
        project.pipeline(
            """
            def register_pipelines():
                return {"__default__": pipeline([node(lambda x: x, "prices", "clean", name="clean"), node(lambda x: x, "clean", "medians", name="medians")])}
            """
        )
        raw.query("create table prices (id int primary key)")
        raw.query("insert into prices values (1)")
        raw.query("call dolt_commit('-Am', 'prices')")
        run = project.run()
        read = "select i.db, i.table_name, i.node, i.commit_hash from stemma_run_inputs i join stemma_runs r on r.run_uid = i.run_uid where r.external_id = %s and i.node = 'medians'"
        assert [(d, t, n, c[:32]) for d, t, n, c in made.query(read, run)] == [("raw", "prices", "medians", raw.head())]
        up = "select kind, db, table_name from stemma_lineage('medians', 'HEAD', 'up', 2) where kind = 'table'"
        assert made.query(up) == [("table", "made", "medians"), ("table", "raw", "prices")]


def test_a_table_that_no_run_made(project: Project) -> None:
    project.catalog(OWN)
    project.pipeline(PIPELINE)
    project.run(n=1)
    project.server.query("delete from b limit 1")
    project.server.query("call dolt_commit('-am', 'by hand')")
    said = project.kedro("stemma", "lineage", "b", "-d", project.server.database, fails=True)
    assert "no run that is recorded has made b" in said
