"""Each of the methods of doltcli about tables and SQL."""

from __future__ import annotations

import csv
import datetime
import io
import json
from pathlib import Path

import doltcli
import pytest
from doltcli import Dolt, DoltException, Status

from dolts import GOODS, change, messages, names, text


def test_sql_results(db: Dolt, home: Path) -> None:
    query = "select * from goods order by id"
    assert db.sql(query) is None
    assert db.sql(query, result_format="csv") == GOODS
    assert db.sql(query, result_format="json") == {"rows": [{"id": 1, "name": "tea", "price": 3.5}, {"id": 2, "name": "rye", "price": 1.2}]}
    assert db.sql(query, result_parser=lambda file: Path(file).read_text()) == "id,name,price\n1,tea,3.5\n2,rye,1.2\n"
    file = str(home / "result.csv")
    assert db.sql(query, result_file=file) == file
    assert Path(file).read_text() == "id,name,price\n1,tea,3.5\n2,rye,1.2\n"
    assert db.sql(query + " limit 0", result_format="csv") == []
    assert db.sql(query + " limit 0", result_format="json").get("rows", []) == []
    assert db.sql("select 'a,\"b\"\nc' as x, null as y, '' as z", result_format="csv") == [{"x": 'a,"b"\nc', "y": "", "z": ""}]


def test_sql_changes(db: Dolt) -> None:
    db.sql("insert into goods values (3, 'oil', 7)")
    db.sql("insert into goods values (4, 'fig', 2); insert into goods values (5, 'nut', 2)", batch=True)
    assert db.sql("select count(*) as n from goods", result_format="csv") == [{"n": "5"}]
    with pytest.raises(DoltException) as raised:
        db.sql("selec", result_format="csv")
    assert raised.value.exitcode == 1 and "selec" in raised.value.stderr


def test_saved_queries(db: Dolt) -> None:
    db.sql("select count(*) as n from goods", save="how many", message="counts goods")
    saved = db.sql("select * from dolt_query_catalog", result_format="csv")
    assert [(q["name"], q["query"], q["description"]) for q in saved] == [("how many", "select count(*) as n from goods", "counts goods")]
    db.sql(list_saved=True)
    assert "how many" in text(db, "sql", "--list-saved")
    db.sql(execute="how many")
    assert "| 2 |" in text(db, "sql", "--execute", "how many")
    with pytest.raises(DoltException):
        db.sql(execute="how few")
    with pytest.raises(ValueError):
        db.sql("select 1", list_saved=True)


def test_sql_on_many_databases(db: Dolt, home: Path) -> None:
    other = Dolt.init(str(home / "depot"))
    other.sql("create table bins (x int primary key)")
    found = db.sql("show databases", result_format="csv", multi_db_dir=str(home))
    assert {"my_shop", "depot"} <= {d["Database"].replace("-", "_") for d in found}
    assert db.sql("select count(*) as n from depot.bins", result_format="csv", multi_db_dir=str(home)) == [{"n": "0"}]


def test_lists_of_tables(db: Dolt) -> None:
    """doltcli joins the names of some lists with spaces."""
    db.sql("create table `two words` (x int primary key); create table bins (x int primary key)")
    db.add(".")
    db.commit("bins")
    empty = "insert into bins values (1); insert into `two words` values (1); delete from goods"
    db.sql(empty)
    db.diff(commit="HEAD", tables=["bins", "goods"])
    out = text(db, "diff", "HEAD", "bins goods")
    assert "a/bins b/bins" in out and "a/goods b/goods" in out and "two words" not in out
    db.checkout(tables=["goods", "bins"])
    assert db.status().modified_tables == {"two words": False}
    db.checkout(tables="two words")
    assert db.status().is_clean
    with pytest.raises(DoltException):
        db.checkout(tables=["goods", "nowhere"])
    db.table_rm(["goods", "bins"])
    assert [t for t in text(db, "ls").splitlines()[1:] if t.strip()] == ["\ttwo words"]


def test_ls(empty: Dolt) -> None:
    assert empty.ls() == []
    empty.sql("create table one (x int primary key); insert into one values (1), (2)")
    empty.sql("create table `a_longer_name_than_any_column_of_the_list` (x int primary key); insert into `a_longer_name_than_any_column_of_the_list` values (1)")
    assert {t.name: t.row_cnt for t in empty.ls()} == {"one": 2, "a_longer_name_than_any_column_of_the_list": 1}
    assert not any(t.system for t in empty.ls())
    empty.sql("select 1", save="one")
    assert {t.name for t in empty.ls()} == {"one", "a_longer_name_than_any_column_of_the_list"}
    every = empty.ls(all=True)
    assert {t.name for t in every if not t.system} == {"one", "a_longer_name_than_any_column_of_the_list"}
    assert "dolt_query_catalog" in {t.name for t in every if t.system}
    assert empty.ls(system=True) == []  # doltcli overlooks a list that begins on the first line
    assert "dolt_query_catalog" in text(empty, "ls", "--system")


def test_ls_without_tables(empty: Dolt) -> None:
    empty.sql("select 1", save="one")
    assert empty.ls() == []
    assert "dolt_query_catalog" in text(empty, "ls", "--all")


def test_schema_export_and_show(db: Dolt, home: Path) -> None:
    assert db.schema_export("goods")
    file = home / "goods.sql"
    assert db.schema_export("goods", str(file))
    assert file.read_text().startswith("CREATE TABLE `goods` (")
    again = Dolt.init(str(home / "again"))
    again.sql(file.read_text())
    assert [t.name for t in again.ls()] == ["goods"]
    db.schema_show("goods")
    db.schema_show("goods", commit="HEAD")
    db.sql("create table fresh (x int primary key)")
    db.schema_show(["goods", "fresh"])
    out = text(db, "schema", "show", "goods", "fresh")
    assert "goods @ working" in out and "fresh @ working" in out and "PRIMARY KEY (`id`)" in out
    with pytest.raises(DoltException):
        db.schema_show("nowhere")


@pytest.mark.parametrize("mode", ["create", "replace", "update"])
def test_schema_import(db: Dolt, home: Path, mode: str) -> None:
    file = home / "more.csv"
    file.write_text("id,name,price,stock\n1,tea,3.5,7\n")
    if mode == "create":
        db.schema_import("more", str(file), create=True, pks=["id"])
        assert doltcli.read_rows(db, "more") == []
        assert [c["Field"] for c in db.sql("describe more", result_format="csv")] == ["id", "name", "price", "stock"]
    else:
        with pytest.raises(DoltException, match="delete all row data"):
            db.schema_import("goods", str(file), pks=["id"], **{mode: True})
        db.sql("delete from goods")
        db.schema_import("goods", str(file), pks=["id"], **{mode: True})
        assert [c["Field"] for c in db.sql("describe goods", result_format="csv")] == ["id", "name", "price", "stock"]


def test_table_import(db: Dolt, home: Path) -> None:
    file = home / "prices.csv"
    file.write_text("id,price\n1,1.5\n2,2.5\n")
    db.table_import("prices", str(file), create_table=True, pk=["id"])
    assert doltcli.read_rows(db, "prices") == [{"id": "1", "price": "1.5"}, {"id": "2", "price": "2.5"}]
    with pytest.raises(DoltException):
        db.table_import("prices", str(file), create_table=True, pk=["id"])
    file.write_text("id,price\n2,9.5\n3,3.5\n")
    db.table_import("prices", str(file), update_table=True)
    assert [r["price"] for r in doltcli.read_rows(db, "prices")] == ["1.5", "9.5", "3.5"]
    db.table_import("prices", str(file), replace_table=True, pk=["id"])
    assert [r["id"] for r in doltcli.read_rows(db, "prices")] == ["2", "3"]
    file.write_text("code,price\na,1.5\n")
    db.table_import("prices", str(file), create_table=True, pk=["code"], force=True)
    assert doltcli.read_rows(db, "prices") == [{"code": "a", "price": "1.5"}]
    for wrong in [{}, {"create_table": True}, {"replace_table": True}, {"create_table": True, "update_table": True}]:
        with pytest.raises(ValueError):
            db.table_import("prices", str(file), **wrong)


def test_table_import_of_other_files(db: Dolt, home: Path) -> None:
    (home / "a.psv").write_text("id|name\n1|a,b\n")
    db.table_import("a", str(home / "a.psv"), create_table=True, pk=["id"])
    (home / "b.txt").write_text("id;name\n1;a,b\n")
    db.table_import("b", str(home / "b.txt"), create_table=True, pk=["id"], delim=";", file_type="csv")
    assert doltcli.read_rows(db, "a") == doltcli.read_rows(db, "b") == [{"id": "1", "name": "a,b"}]
    (home / "map.json").write_text(json.dumps({"id": "code", "name": "word"}))
    db.table_import("c", str(home / "a.psv"), create_table=True, pk=["code"], mapping_file=str(home / "map.json"))
    assert doltcli.read_rows(db, "c") == [{"code": "1", "word": "a,b"}]
    (home / "d.csv").write_text("id,price\nx,1\n3,3\n")
    with pytest.raises(DoltException):
        db.table_import("goods", str(home / "d.csv"), update_table=True)
    db.table_import("goods", str(home / "d.csv"), update_table=True, continue_importing=True)
    assert [r["id"] for r in doltcli.read_rows(db, "goods")] == ["1", "2", "3"]


def test_table_export(db: Dolt, home: Path) -> None:
    file = home / "out.csv"
    db.table_export("goods", str(file))
    assert list(csv.DictReader(io.StringIO(file.read_text()))) == GOODS
    with pytest.raises(DoltException):
        db.table_export("goods", str(file))
    file.write_text("")
    db.table_export("goods", str(file), force=True)
    assert list(csv.DictReader(io.StringIO(file.read_text()))) == GOODS
    db.table_export("goods", str(home / "out.txt"), file_type="psv", continue_exporting=True, pk=["id"])
    assert (home / "out.txt").read_text().startswith("id|name|price\n1|tea|3.5\n")
    (home / "map.json").write_text(json.dumps({"name": "word"}))
    assert db.schema_export("goods", str(home / "goods.sql"))
    db.table_export("goods", str(home / "mapped.csv"), mapping_file=str(home / "map.json"), schema=str(home / "goods.sql"))
    assert (home / "mapped.csv").read_text().startswith("id,word,price\n1,tea,3.5\n")


def test_table_mv_cp_rm(db: Dolt) -> None:
    old = db.head
    change(db, "update goods set price = 4 where id = 1", "dearer tea")
    db.table_cp("goods", "copy")
    assert doltcli.read_rows(db, "copy") == doltcli.read_rows(db, "goods")
    with pytest.raises(DoltException):
        db.table_cp("goods", "copy")
    db.table_cp("goods", "copy", commit=old, force=True)
    assert doltcli.read_rows(db, "copy") == GOODS
    with pytest.raises(DoltException):
        db.table_cp("goods", "older", commit="HEAD~2")
    db.table_mv("copy", "moved")
    with pytest.raises(DoltException):
        db.table_mv("moved", "goods")
    db.table_mv("moved", "goods", force=True)
    assert [t.name for t in db.ls()] == ["goods"] and doltcli.read_rows(db, "goods") == GOODS
    db.reset(hard=True)
    db.table_rm("goods")
    assert db.ls() == []
    assert "deleted:" in text(db, "status")
    db.reset(hard=True)
    db.table_rm(["goods"])
    assert db.ls() == []


def test_write_and_read(empty: Dolt) -> None:
    rows = [{"id": 1, "name": "tea", "price": 3.5}, {"id": 2, "name": 'o, "il"', "price": ""}]
    doltcli.write_rows(empty, "goods", rows, primary_key=["id"], commit=True, commit_date=datetime.datetime(2022, 1, 1))
    commit = empty.log(commit=empty.head)[empty.head]
    assert commit.message == "Committing write to table goods in create mode" and commit.timestamp.startswith("2022-01-01 00:00:00")
    assert doltcli.read_rows(empty, "goods") == [{"id": "1", "name": "tea", "price": "3.5"}, {"id": "2", "name": 'o, "il"', "price": ""}]
    columns = {"id": [2, 3], "name": ["rye", "fig"], "price": [1.5, 2.5]}
    doltcli.write_columns(empty, "goods", columns, primary_key=["id"], commit=True, commit_message="more")
    assert empty.log(commit=empty.head)[empty.head].message == "more"
    assert doltcli.read_columns(empty, "goods") == {"id": ["1", "2", "3"], "name": ["tea", "rye", "fig"], "price": ["3.5", "1.5", "2.5"]}
    assert doltcli.read_columns(empty, "goods", as_of="HEAD~1")["id"] == ["1", "2"]
    assert [r["id"] for r in doltcli.read_rows(empty, "goods", as_of="HEAD^")] == ["1", "2"]
    assert doltcli.read_rows_sql(empty, "select max(id) as m from goods") == [{"m": "3"}]
    assert doltcli.read_columns_sql(empty, "select id from goods where id > 1") == {"id": ["2", "3"]}


@pytest.mark.parametrize("mode", ["replace", "force_create", "update"])
def test_write_modes(db: Dolt, mode: str) -> None:
    doltcli.write_columns(db, "goods", {"id": [2, 3], "name": ["oil", "fig"], "price": [1.5, 2.5]}, import_mode=mode, primary_key=["id"])
    found = {r["id"]: r["name"] for r in doltcli.read_rows(db, "goods")}
    assert found == {"2": "oil", "3": "fig"} | ({"1": "tea"} if mode == "update" else {})
    assert db.status().modified_tables == {"goods": False}


def test_write_file(empty: Dolt, home: Path) -> None:
    doltcli.write_file(empty, "goods", file_handle=io.StringIO("id,v\n1,2\n"), primary_key=["id"])
    (home / "more.csv").write_text("id,v\nx,3\n2,4\n")
    with pytest.raises(DoltException):
        doltcli.write_file(empty, "goods", file=home / "more.csv")
    doltcli.write_file(empty, "goods", file=str(home / "more.csv"), import_mode="update", do_continue=True, commit=True)
    assert doltcli.read_columns(empty, "goods") == {"id": ["1", "2"], "v": ["2", "4"]}
    assert empty.status().is_clean
    with pytest.raises(ValueError):
        doltcli.write_file(empty, "goods")


def test_read_tables(db: Dolt, home: Path) -> None:
    url = f"file://{home / 'remotes' / 'share'}"
    db.remote(add=True, name="origin", url=url)
    db.sql("create table other (id int primary key)")
    db.add("other")
    db.commit("other")
    first = db.head
    change(db, "delete from goods where id = 1", "one less")
    db.push("origin", "main")
    for committish, rows in (("main", GOODS[1:]), (first, GOODS)):
        target = home / f"read-{committish}"
        target.mkdir()
        read = Dolt.read_tables(url, committish, tables="goods", new_dir=str(target))
        assert doltcli.read_rows(read, "goods") == rows
        assert [t.name for t in read.ls()] == ["goods"]
        assert read.status() == Status(False, {}, {"goods": False})
        assert messages(read) == ["Initialize data repository"] and read.remote() == []
    whole = Dolt.read_tables(url, first)
    assert {t.name for t in whole.ls()} == {"goods", "other"} and Path(whole.repo_dir).name == "share"
