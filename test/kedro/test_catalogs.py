"""What catalogs and command lines of Kedro may have beside plain entries: factories, names with two formats, caches, versions, some nodes only."""

from __future__ import annotations

import pytest
from kedro.io import DatasetError

import stemma
from project import OWN, PIPELINE, PLAIN, Project

FACTORIES = {
    "own": '"{name}": {type: stemma.kedro.TableDataset, table: "{name}", credentials: stemma, primary_key: id}\n',
    "plain": '"{name}": {type: pandas.SQLTableDataset, table_name: "{name}", credentials: sql, save_args: {if_exists: replace}}\n',
}


@pytest.mark.parametrize("kind", list(FACTORIES))
def test_a_factory(project: Project, kind: str) -> None:
    """Datasets that a pattern of the catalog makes are the run's as those that it names."""
    project.catalog(FACTORIES[kind])
    project.pipeline(PIPELINE)
    run = project.run(n=3)
    s = project.server
    assert s.messages() == [f"Update from kedro run: {run}"]
    assert s.query("select v from b order by id") == [(30,), (40,), (50,)]
    assert s.branches() == ["main"]
    wrote = "select o.table_name, o.node, o.dataset_alias from stemma_run_outputs o join stemma_runs r on r.run_uid = o.run_uid where r.external_id = %s order by 1"
    assert s.query(wrote, run) == [("a", "first", "a"), ("b", "second", "b")]
    assert f"| 1     | b     | {s.head()} | {run} | kedro  | COMPLETE | " in project.kedro("stemma", "lineage", "b", "-d", s.database)


@pytest.mark.parametrize("flags", [("--async",), ("--runner", "ThreadRunner"), ("--runner", "ParallelRunner"), ("--nodes", "first,second"), ("--only-missing-outputs",)])
def test_flags(shop: Project, flags: tuple[str, ...]) -> None:
    shop.kedro("run", "--params", "n=6", *flags)
    s = shop.server
    assert len(s.messages()) == 1
    assert s.query("select v from b order by id") == [(60,), (70,), (80,)]
    assert s.branches() == ["main"]


def test_some_nodes(shop: Project) -> None:
    """A run from the second node on reads what is at the target, and one of missing outputs makes only what is not there."""
    shop.run(n=2)
    shop.kedro("run", "--params", "n=2", "--from-nodes", "second")
    assert len(shop.server.messages()) == 1
    shop.kedro("run", "--params", "n=5", "--only-missing-outputs")
    assert len(shop.server.messages()) == 1
    shop.server.query("drop table b")
    shop.server.query("call dolt_commit('-Am', 'dropped')")
    shop.kedro("run", "--params", "n=2", "--only-missing-outputs")
    assert shop.server.query("select v from b order by id") == [(20,), (30,), (40,)]
    assert len(shop.server.messages()) == 3


def test_versions_of_the_command_line(project: Project) -> None:
    catalog = "source: {type: stemma.kedro.TableDataset, table: source, credentials: stemma, versioned: true}\n"
    project.catalog(catalog + "out: {type: stemma.kedro.TableDataset, table: 'out', credentials: stemma, primary_key: i}\n")
    project.pipeline('def register_pipelines():\n    return {"__default__": pipeline([node(lambda x: x, "source", "out", name="copy")])}\n')
    with stemma.connect(project.server.uri) as repo:
        repo.write({"i": [1]}, "source", primary_key="i", message="one")
        repo.tag("old", "HEAD")
        repo.write({"i": [1, 2]}, "source", message="two")
    s = project.server
    old = s.head("old")
    project.kedro("run", "--load-versions", "source:old")
    assert s.query("select i from `out`") == [(1,)]
    read = "select left(commit_hash, 32), dataset_alias from stemma_run_inputs where table_name = 'source' and node = 'copy'"
    assert set(s.query(read)) == {(old, "source")}
    project.kedro("run")
    assert s.query("select i from `out` order by i") == [(1,), (2,)]
    project.kedro("run", "--load-versions", f"source:{old[:10]}")
    assert s.query("select i from `out`") == [(1,)]
    head = s.head()
    with pytest.raises((stemma.StemmaError, DatasetError), match="nowhere"):
        _with_versions(project, {"source": "nowhere"})
    assert (s.head(), s.branches()) == (head, ["main"])


def _with_versions(project: Project, versions: dict[str, str]) -> None:
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(project.directory)
    with KedroSession.create(project.directory, save_on_close=False) as session:
        session.run(load_versions=versions)


@pytest.mark.parametrize("kind", ["own", "plain"])
def test_caches_and_two_formats(project: Project, kind: str) -> None:
    """A dataset in a cache is the run's; one table under two names of one dataset is read as it was written."""
    inner = {"own": OWN, "plain": PLAIN}[kind].splitlines()[1:]
    names = {"a": "a@pandas", "b": "b"}
    lines = [f"\"{names[line[0]]}\": {{type: CachedDataset, dataset: {line[3:]}}}" if line[0] == "a" else line for line in inner if line]
    lines.append('"a@polars": {type: stemma.kedro.TableDataset, table: a, credentials: stemma, frame: polars}')
    project.catalog("\n".join(lines) + "\n")
    project.pipeline(
        """
        def first(n):
            return pd.DataFrame({"id": [1, 2, 3], "v": [n, n + 1, n + 2]})

        def second(a):
            return a.to_pandas().assign(v=lambda t: t["v"] * 10)

        def register_pipelines():
            return {"__default__": pipeline([node(first, "params:n", "a@pandas", name="first"), node(second, "a@polars", "b", name="second")])}
        """
    )
    for n in (1, 2):
        project.run(n=n)
        assert project.server.query("select v from b order by id") == [(n * 10,), (n * 10 + 10,), (n * 10 + 20,)]
    assert len(project.server.messages()) == 2
    assert project.server.branches() == ["main"]
