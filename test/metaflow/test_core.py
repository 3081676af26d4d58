"""`dolt_integrations.core` and `.utils` of 2021, with the real doltcli on the program under the name dolt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

doltcli = pytest.importorskip("doltcli")


@pytest.fixture
def db(database: str) -> Any:
    return doltcli.Dolt(database)


def test_save_and_load(db: Any, tmp_path: Path) -> None:
    from dolt_integrations.core import DoltMeta, NewBranch, load, save

    file = tmp_path / "in.csv"
    file.write_text("id,v\n1,a\n2,b\n")
    meta = save(db, "t", str(file), save_args={"primary_key": ["id"]}, branch_conf=NewBranch("work"), meta_conf=DoltMeta(db, "actions"))
    assert (meta["kind"], meta["branch"], meta["tablename"]) == ("save", "work", "t")
    assert meta["from_commit"] != meta["to_commit"]
    assert db.active_branch == "main"
    assert [t.name for t in db.ls()] == ["actions"]
    out = tmp_path / "out.csv"
    loaded = load(db, str(out), tablename="t", branch_conf=NewBranch("work"), meta_conf=DoltMeta(db, "actions"))
    assert out.read_text() == "id,v\n1,a\n2,b\n"
    assert loaded["from_commit"] == loaded["to_commit"] == meta["to_commit"]
    load(db, str(out), sql="select v from t order by id desc", branch_conf={"_type": "NewBranch", "branch": "work"})
    assert out.read_text() == "v\nb\na\n"
    again = save(db, "t", str(file), branch_conf=NewBranch("work"), meta_conf=DoltMeta(db, "actions"))
    assert again["from_commit"] == again["to_commit"]
    assert len(db.sql("select * from actions", result_format="csv")) == 3


def test_a_branch_is_left_when_the_body_fails(db: Any) -> None:
    from dolt_integrations.core import NewBranch

    with pytest.raises(RuntimeError), NewBranch("work")(db):
        assert db.active_branch == "work"
        raise RuntimeError
    assert db.active_branch == "main"


def test_load_takes_one_of_table_and_query(db: Any) -> None:
    from dolt_integrations.core import load

    with pytest.raises(ValueError, match="one of them"):
        load(db, "x.csv")


def test_frames_keep_rows_and_types(db: Any) -> None:
    from dolt_integrations.utils import read_pandas, read_pandas_sql, write_pandas

    df = pd.DataFrame({"code": ["007", "", "x"], "n": pd.array([1, None, 3], dtype="Int64")})
    write_pandas(db, "t", df, commit=True, commit_message="first")
    assert len(read_pandas(db, "t", "HEAD")) == 3
    found = read_pandas_sql(db, "select * from t order by code")
    assert found["code"].tolist() == ["", "007", "x"]
    write_pandas(db, "t", df)
    assert len(read_pandas(db, "t")) == 6
