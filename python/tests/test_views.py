"""Views of SQL as frames."""

from __future__ import annotations

import pandas as pd
import pytest

import stemma


def test_views_are_read_as_tables(shared: stemma.Repo) -> None:
    repo = shared
    repo.write(
        pd.DataFrame({"id": [1, 2, 3], "code": ["a", "b", "a"], "price": [1.5, 2.5, 3.5]}), "seen", primary_key="id", message="seen"
    )
    repo.sql('create view cheap as select id, code as "the code", price * 2 as twice from seen where price < 3')
    repo.commit("a view", ALL=True)
    first = repo.resolve("HEAD")
    repo.sql("create or replace view cheap as select count(*) as n from seen")
    repo.sql("insert into seen values (4, 'c', 0.5)")
    assert repo.read_pandas("cheap").to_dict("list") == {"n": [4]}
    then = repo.read_pandas("cheap", "HEAD")
    assert then.to_dict("list") == {"id": [1, 2], "the code": ["a", "b"], "twice": [3.0, 5.0]}
    assert repo.read_pandas(f"cheap@{first.commit}").equals(then)
    assert repo.read_arrow("cheap", "HEAD", columns=["twice", "ID"], where="twice > 3").to_pydict() == {"twice": [5.0], "id": [2]}
    assert repo.scan("cheap", "HEAD").read_all().num_rows == 2
    assert repo.read_polars("cheap", "HEAD").columns == ["id", "the code", "twice"]
    assert "cheap" in [t.table_name for t in repo.ls()]
    assert repo.resolve("HEAD", "cheap").table == "cheap"
    with pytest.raises(stemma.NotFoundError, match="nothing"):
        repo.read_pandas("cheap", columns=["nothing"])
    with pytest.raises(stemma.StemmaError, match="cheap is a view"):
        repo.partitions("cheap", "HEAD", 2)
    with pytest.raises(stemma.StemmaError, match="view cheap"):
        repo.write(pd.DataFrame({"a": [1]}), "cheap", primary_key="a")
    repo.sql("drop view cheap")
    with pytest.raises(stemma.NotFoundError):
        repo.read_pandas("cheap")


def test_runs_record_the_tables_below(shared: stemma.Repo) -> None:
    repo = shared
    repo.write(pd.DataFrame({"id": [1, 2], "v": [10, 20]}), "source", primary_key="id", message="source")
    repo.sql("create view doubled as select id, v * 2 as w from source")
    repo.commit("view", ALL=True)
    run = "0190d6f3-7c1e-7b5a-9a53-0d1c2f3a4b5c"
    with stemma.connect(repo.uri, run=run) as of:
        frame = of.read_pandas("doubled")
        of.write(frame, "made", primary_key="id", message="made")
        of.sql("create table copied as select id, w from doubled")
        of.commit("copied", ALL=True)
    inputs = repo.sql("select table_name, commit_hash is not null as at from stemma_run_inputs where run_uid = ?", params=[run])
    assert set(inputs["table_name"]) == {"source"}
    assert bool(inputs["at"].all())
    why = repo.lineage_why("copied", key='{"id": 2}')
    assert "source" in str(list(why))
