"""The datasets by themselves, and the commands."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import yaml
from kedro.io import DataCatalog, DatasetError, Version

import stemma
from project import OWN, PIPELINE, PLAIN, ROOT, Project, Server
from stemma.kedro import QueryDataset, TableDataset

FRAME = pd.DataFrame({"id": [1, 2, 3], "v": [1.5, 2.5, None], "t": ["x", None, "z"]})


@pytest.fixture(scope="module")
def filled(server: Server) -> Iterator[Server]:
    """A table of two commits: t has 3 rows, and 2 before."""
    with stemma.connect(server.uri) as repo:
        repo.write(FRAME.head(2), "t", primary_key="id", message="two")
        repo.tag("old", "HEAD")
        repo.write(FRAME, "t", message="three")
        repo.write(pd.DataFrame({"a": [3, 1]}), "heap", mode="replace", message="heap")
    yield server


@pytest.mark.parametrize("frame", ["pandas", "polars", "arrow"])
def test_frames(filled: Server, frame: str) -> None:
    data = TableDataset(table="t", credentials={"uri": filled.uri}, frame=frame, columns=["id", "v"], where="id > 1").load()
    assert type(data) is {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.Table}[frame]
    rows = data.to_dict("records") if frame == "pandas" else data.to_dicts() if frame == "polars" else data.to_pylist()
    assert [r["id"] for r in rows] == [2, 3]
    out = TableDataset(table=f"out_{frame}", credentials=filled.uri, primary_key="id", frame=frame)
    assert not out.exists()
    out.save(data)
    assert out.exists()
    assert len(out.load()) == 2
    query = QueryDataset(sql="select count(*) as n from t where id < ?", params=[3], credentials=filled.uri, frame=frame).load()
    assert int(query["n"][0].as_py() if frame == "arrow" else query["n"][0]) == 2


def test_versions_to_load(filled: Server) -> None:
    config = {
        "t": {"type": "stemma.kedro.TableDataset", "table": "t", "credentials": "c", "versioned": True},
        "q": {"type": "stemma.kedro.QueryDataset", "sql": "select * from t", "credentials": "c", "versioned": True},
        "r": {"type": "stemma.kedro.TableDataset", "table": "t", "ref": "old", "credentials": "c"},
    }
    catalog = DataCatalog.from_config(config, {"c": {"uri": filled.uri}}, load_versions={"t": "old", "q": filled.head("old")[:10]})
    assert [len(catalog.load(n)) for n in ("t", "q", "r")] == [2, 2, 2]
    assert [catalog.get(n).resolve_load_version() for n in ("t", "r")] == ["old", "old"]
    assert len(DataCatalog.from_config(config, {"c": {"uri": filled.uri}}).load("t")) == 3
    assert len(TableDataset(table="t", credentials=f"{filled.uri}@old").load()) == 2
    assert len(TableDataset(table="t", credentials=filled.uri, version=Version("old", "x")).load()) == 2


def test_views(filled: Server) -> None:
    with stemma.connect(filled.uri) as repo:
        repo.write(FRAME, "below", primary_key="id", message="below")
        repo.sql("create view shown as select id * 10 as k from below")
        repo.commit("a view", ALL=True)
        repo.tag("shown", "HEAD")
        repo.sql("create or replace view shown as select id from below where id < 3")
    view = TableDataset(table="shown", credentials=filled.uri)
    assert view.exists()
    assert view.load()["id"].tolist() == [1, 2]
    assert TableDataset(table="shown", credentials=filled.uri, ref="shown", where="k > 10").load()["k"].tolist() == [20, 30]
    assert view.preview(1)["data"] == [[1]]
    with pytest.raises(DatasetError, match="view shown"):
        TableDataset(table="shown", credentials=filled.uri, primary_key="id").save(FRAME)
    with stemma.connect(filled.uri) as repo:
        repo.sql("drop view shown")
    assert not view.exists()


def test_modes(filled: Server) -> None:
    def dataset(table: str, **options: object) -> TableDataset:
        return TableDataset(table=table, credentials=filled.uri, **options)

    dataset("m", primary_key="id").save(FRAME)
    dataset("m").save(FRAME.tail(1))  # the table has a key, which it keeps
    assert dataset("m").load()["id"].tolist() == [3]
    with stemma.connect(filled.uri) as repo:
        assert [c for (c,) in filled.query("select column_name from information_schema.columns where table_name = 'm' and column_key = 'PRI'")] == ["id"]
        assert repo.read_pandas("m")["id"].tolist() == [3]
    dataset("m", mode="upsert").save(FRAME.head(1))
    assert dataset("m").load()["id"].tolist() == [1, 3]
    with pytest.raises(DatasetError, match="1"):
        dataset("m", mode="append").save(FRAME.head(1))
    dataset("k").save(FRAME)
    dataset("k").save(FRAME.tail(2))
    assert dataset("k").load()["id"].tolist() == [2, 3]
    dataset("k", mode="append").save(FRAME.head(1))
    assert dataset("k").load()["id"].tolist() == [2, 3, 1]


def test_previews(filled: Server) -> None:
    table = TableDataset(table="t", credentials=filled.uri)
    assert table.preview(nrows=2) == {"index": [0, 1], "columns": ["id", "v", "t"], "data": [[1, 1.5, "x"], [2, 2.5, None]]}
    query = QueryDataset(sql="select id from t order by id desc", credentials=filled.uri)
    assert query.preview(nrows=1) == {"index": [0], "columns": ["id"], "data": [[3]]}
    # Kedro-Viz goes by the name of the annotation.
    assert inspect.signature(table.preview).return_annotation.__name__ == "TablePreview"


def test_plain_data(filled: Server) -> None:
    """Datasets go to other processes, are copied, and written back to YAML."""
    table = TableDataset(table="t", credentials={"uri": filled.uri, "user": "root"})
    for other in (pickle.loads(pickle.dumps(table)), copy.deepcopy(table)):
        assert len(other.load()) == 3
    assert "s3cret" not in repr(TableDataset(table="t", credentials={"uri": filled.uri, "password": "s3cret"}))
    assert "s3cret" not in repr(TableDataset(table="t", credentials=filled.uri.replace("//", "//root:s3cret@")))
    with pytest.raises(DatasetError) as e:
        TableDataset(table="t", credentials=filled.uri.replace("//", "//root:s3cret@")).load()
    assert "s3cret" not in str(e.value)
    assert "Access denied" in str(e.value)
    with pytest.raises(DatasetError, match="nothing"):
        TableDataset(table="nothing", credentials=filled.uri).load()
    config, *_ = DataCatalog({"t": table}).to_config()
    assert config["t"]["type"] == "stemma.kedro.datasets.TableDataset"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"table": "t", "frame": "panda"}, "did you mean 'pandas'"),
        ({"table": "t", "mode": "merg"}, "did you mean 'merge'"),
        ({"table": ""}, "name of a table"),
        ({"table": "t", "credentials": {"url": "x"}}, "did you mean 'uri'"),
        ({"table": "t", "ref": 12}, "a ref|ref is text"),
        ({"table": "t", "credentials": {"uri": "mysql://localhost/x"}}, "stemma://"),
        ({"table": "t", "credentials": {"uri": "stemma://localhost/x?brnch=y"}}, "branch"),
    ],
)
def test_wrong_options(options: dict[str, object], said: str) -> None:
    with pytest.raises(stemma.InvalidError, match=said):
        TableDataset(**options)
    with pytest.raises(DatasetError, match=said):
        DataCatalog.from_config({"d": {"type": "stemma.kedro.TableDataset", **options}}).get("d")


def test_what_is_not_saved(filled: Server) -> None:
    with pytest.raises(DatasetError, match="is not saved"):
        TableDataset(table="t", credentials=filled.uri, ref="old").save(FRAME)
    with pytest.raises(DatasetError, match="is not saved"):
        QueryDataset(sql="select 1", credentials=filled.uri).save(FRAME)
    with pytest.raises(stemma.InvalidError, match="either"):
        QueryDataset(sql="select 1", filepath="x.sql")


def test_queries_of_files(filled: Server, tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("select id from t as of 'old' order by id")
    assert QueryDataset(filepath=str(tmp_path / "q.sql"), credentials=filled.uri).load()["id"].tolist() == [1, 2]


def test_reads_of_a_run_are_of_its_beginning(project: Project) -> None:
    """What others commit while a run lasts, it does not see: not in tables, not in queries, not by the refs of its catalog."""
    s = project.server
    with stemma.connect(s.uri) as repo:
        repo.write({"i": [1]}, "source", primary_key="i", message="one")
        repo.branch("other")
    project.catalog(
        """
        source: {type: stemma.kedro.TableDataset, table: source, credentials: stemma}
        query: {type: stemma.kedro.QueryDataset, sql: select count(*) as n from source, credentials: stemma}
        there: {type: stemma.kedro.TableDataset, table: source, ref: other, credentials: stemma}
        plain: {type: pandas.SQLQueryDataset, sql: select count(*) as n from source, credentials: sql}
        out: {type: stemma.kedro.TableDataset, table: out, credentials: stemma, primary_key: n}
        """
    )
    project.pipeline(
        f"""
        import pymysql

        def change():
            for db in ("{s.database}", "{s.database}/other"):
                c = pymysql.connect(host="127.0.0.1", port={s.port}, user="root", database=db, autocommit=True)
                c.cursor().execute("insert into source values (2)")
                c.cursor().execute("call dolt_commit('-am', 'two')")
            return 1

        def look(changed, source, query, there, plain):
            return pd.DataFrame({{"n": [len(source) + 10 * int(query["n"][0]) + 100 * len(there) + 1000 * int(plain["n"][0])]}})

        def read(changed, source, query, there, plain):
            assert [len(source), int(query["n"][0]), len(there), int(plain["n"][0])] == [1, 1, 1, 1]

        names = ["changed", "source", "query", "there", "plain"]

        def register_pipelines():
            return {{
                "__default__": pipeline([node(change, None, "changed"), node(look, names, "out")]),
                "reads": pipeline([node(change, None, "changed"), node(read, names, None)]),
            }}
        """
    )
    project.run()
    assert s.query("select n from `out`") == [(1111,)]
    assert s.query("select count(*) from source") == [(2,)]
    for name in ("main", "other"):
        s.query("call dolt_reset('--hard', %s)", f"{name}~1" if name == "other" else "HEAD~2", branch=name)
    before = s.branches()
    project.run(pipelines=["reads"])
    assert s.branches() == before


def test_commands(project: Project) -> None:
    project.catalog(OWN)
    project.pipeline(PIPELINE)
    project.run(n=1)
    run = project.run(n=2)
    said = project.kedro("stemma", "log", "-n", "1")
    assert re.search(r"(?m)^Date:   \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", said)
    assert f"commit {project.server.head()}" in said
    assert f"Update from kedro run: {run}" in said
    assert 'Params: {"n": 2}' in said
    said = project.kedro("stemma", "diff", "HEAD~1", "HEAD")
    assert "| a " in said
    assert "| b " in said
    said = project.kedro("stemma", "diff", "HEAD~1", "HEAD", "b")
    assert "| < | 1  | 10 |" in said
    assert "| > | 1  | 20 |" in said
    said = project.kedro("stemma", "diff", "HEAD~1", "HEAD", "bb", fails=True)
    assert "did you mean 'b'" in said
    said = project.kedro("stemma", "log", "nowhere", fails=True)
    assert "nowhere" in said
    assert "Traceback" not in said
    for name in ("log", "diff", "lineage", "lock"):
        assert name in project.kedro("stemma", "--help")


def test_locks(project: Project) -> None:
    project.catalog(OWN)
    project.pipeline(
        PIPELINE
        + '\nold = register_pipelines\n\n\ndef check(a):\n    assert a["v"].tolist() == [1, 2, 3], a\n\n\n'
        + 'def register_pipelines():\n    return {**old(), "check": pipeline([node(check, "a", None)])}\n'
    )
    project.run(n=1)
    assert "no" in project.kedro("stemma", "lock", "--check", fails=True)
    said = project.kedro("stemma", "lock")
    assert "| a " in said
    project.kedro("stemma", "lock", "--check")
    project.run(n=2)
    said = project.kedro("stemma", "lock", "--check", fails=True)
    assert "a: locked at commit" in said
    project.run(pipelines=["check"], stemma={"locked": True})
    with pytest.raises(AssertionError):
        project.run(pipelines=["check"])
    (project.directory / "kedro.lock").write_text("version: 9\ndatasets: {}\n")
    with pytest.raises(stemma.TooNewError):
        project.run(pipelines=["check"], stemma={"locked": True})


def test_commands_on_the_plain_catalog(project: Project) -> None:
    project.catalog(PLAIN)
    project.pipeline(PIPELINE)
    project.run(n=1)
    project.run(n=2)
    database = project.server.database
    assert "Params" in project.kedro("stemma", "log", "-d", database)
    assert "| + | 3  | 40 |" in project.kedro("stemma", "diff", "HEAD~1", "HEAD", "b", "-d", database)
    assert "only datasets of stemma.kedro are locked" in project.kedro("stemma", "lock", "-d", database, fails=True)


def test_the_catalog_of_the_guide(own: Server) -> None:
    """What docs/kedro.md shows is loaded as it stands there."""
    own.query("create table prices (code int primary key, state varchar(2), price double)")
    own.query("insert into prices values (1, 'CA', 3), (2, 'CA', 5), (3, 'NY', 7)")
    own.query("call dolt_commit('-Am', 'prices')")
    own.query("call dolt_tag('v2025')")
    own.query("delete from prices where code = 3")
    shown = (ROOT / "docs" / "kedro.md").read_text().split("```yaml\n")[1].split("```")[0]
    catalog, credentials = shown.split("# conf/local/credentials.yml\n")
    given = yaml.safe_load(credentials.replace("stemma://localhost:8815/shop", own.uri))
    loaded = DataCatalog.from_config(yaml.safe_load(catalog), given)
    assert loaded.load("prices")["price"].tolist() == [3, 5]
    assert loaded.load("last_year")["price"].tolist() == [3, 5, 7]
    assert loaded.load("means").rows() == [("CA", 4.0)]
