"""doltcli, which calls the program by the name dolt and reads what it writes: each of its methods."""

from __future__ import annotations

import csv
import datetime
import io
import json
import os
from pathlib import Path

import doltcli
import pytest
from doltcli import Branch, Dolt, DoltException, Status

from server import binary, environment

HASH = "0123456789abcdefghijklmnopqrstuv"
GOODS = [{"id": "1", "name": "tea", "price": "3.5"}, {"id": "2", "name": "rye", "price": "1.2"}]


def is_hash(value: str) -> bool:
    return len(value) == 32 and set(value) <= set(HASH)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without settings, and the program in the path under the name dolt."""
    commands = tmp_path / "commands"
    commands.mkdir()
    (commands / "dolt").symlink_to(binary())
    settings = environment(tmp_path)
    for name in set(os.environ) - set(settings):
        monkeypatch.delenv(name)
    for name, value in (settings | {"PATH": f"{commands}:{settings['PATH']}"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def empty(home: Path) -> Dolt:
    """A new database."""
    return Dolt.init(str(home / "my-shop"))


@pytest.fixture
def db(empty: Dolt) -> Dolt:
    """A database whose second commit has a table."""
    doltcli.write_columns(empty, "goods", {"id": [1, 2], "name": ["tea", "rye"], "price": [3.5, 1.2]}, primary_key=["id"])
    empty.add("goods")
    empty.commit("first goods")
    return empty


def text(db: Dolt, *args: str) -> str:
    return db.execute(list(args))


def change(db: Dolt, sql: str, message: str) -> str:
    """Commits a change of tables that there are; returns the commit."""
    db.sql(sql)
    db.execute(["commit", "-am", message])
    return db.head


def messages(db: Dolt) -> list[str]:
    return [c.message for c in db.log().values()]


def names(branches: tuple[Branch, list[Branch]]) -> tuple[str, set[str]]:
    return branches[0].name, {b.name for b in branches[1]}


def test_init(home: Path) -> None:
    with pytest.raises(ValueError, match="not a valid Dolt repository"):
        Dolt(str(home))
    db = Dolt.init(str(home / "deep" / "a-b"))
    assert (home / "deep" / "a-b" / ".dolt").is_dir()
    again = Dolt.init(str(home / "deep" / "a-b"))
    assert again.head == db.head and is_hash(db.head)
    assert db.repo_name == "a_b" and is_hash(db.working)
    assert db.active_branch == "main"
    assert messages(db) == ["Initialize data repository"]


def test_init_here(home: Path) -> None:
    assert is_hash(Dolt.init().head)
    assert (home / ".dolt").is_dir()


def test_version() -> None:
    assert [int(n) for n in Dolt.version().split(".")] >= [2, 3, 1]


def test_working(db: Dolt) -> None:
    before = db.working
    db.sql("delete from goods where id = 1")
    assert is_hash(before) and is_hash(db.working) and db.working != before


def test_execute(db: Dolt, home: Path) -> None:
    assert "first goods" in db.execute(["log", "-n", "1"])
    file = str(home / "out")
    assert db.execute(["log", "-n", "1"], stdout_to_file=file) == file
    assert "first goods" in Path(file).read_text()
    with pytest.raises(DoltException) as raised:
        db.execute(["checkout", "nowhere"])
    assert raised.value.exitcode == 1 and "nowhere" in raised.value.stderr
    assert "nowhere" in db.execute(["checkout", "nowhere"], error=False)
    with pytest.raises(DoltException) as raised:
        db.execute(["no-such-verb"])
    assert raised.value.exitcode == 1


def test_status(db: Dolt) -> None:
    assert db.status() == Status(True, {}, {})
    db.sql("update goods set price = 4 where id = 1")
    db.sql("create table fresh (x int primary key)")
    assert db.status() == Status(False, {"goods": False}, {"fresh": False})
    assert db.add("goods").modified_tables == {"goods": True}
    db.sql("update goods set price = 5 where id = 2")
    assert db.add(["fresh"]).added_tables == {"fresh": True}
    assert db.add(["goods", "fresh"]) == Status(False, {"goods": True}, {"fresh": True})


def test_status_of_new_tables_behind_staged_ones(db: Dolt) -> None:
    db.sql("create table fresh (x int primary key)")
    db.sql("create table fresher (x int primary key)")
    assert db.add("fresh") == Status(False, {}, {"fresh": True, "fresher": False})


def test_add_all(db: Dolt) -> None:
    db.sql("update goods set price = 4 where id = 1")
    db.sql("create table fresh (x int primary key)")
    assert db.add(".") == Status(False, {"goods": True}, {"fresh": True})
    with pytest.raises(DoltException):
        db.add("nowhere")


def test_commit(db: Dolt) -> None:
    with pytest.raises(DoltException) as raised:
        db.commit("nothing new")
    assert raised.value.exitcode == 1
    with pytest.raises(DoltException):
        db.commit(allow_empty=True)  # without a message
    db.commit("empty", allow_empty=True, date=datetime.datetime(2021, 2, 3, 4, 5, 6))
    assert db.log(commit=db.head)[db.head].timestamp.startswith("2021-02-03 04:05:06")
    db.commit("to the microsecond", allow_empty=True, date=datetime.datetime(2021, 2, 3, 4, 5, 6, 789))
    assert db.log(commit=db.head)[db.head].timestamp == "2021-02-03 04:05:06.000789"
    east = datetime.timezone(datetime.timedelta(hours=2))
    db.commit("elsewhere", allow_empty=True, date=datetime.datetime(2021, 2, 3, 4, 5, 6, tzinfo=east))
    assert db.log(commit=db.head)[db.head].timestamp.startswith("2021-02-03 02:05:06")


def test_log(db: Dolt) -> None:
    head = change(db, "update goods set price = 4 where id = 1", "dearer tea")
    log = db.log()
    newest, middle, oldest = log.values()
    assert [c.message for c in log.values()] == ["dearer tea", "first goods", "Initialize data repository"]
    assert list(log)[0] == newest.ref == head
    assert newest.parents == middle.ref and middle.parents == oldest.ref and not oldest.parents
    assert (newest.author, newest.email, newest.merge) == ("Ada Lovelace", "ada@example.org", False)
    datetime.datetime.fromisoformat(newest.timestamp)
    assert list(db.log(number=1)) == [head]
    assert list(db.log(commit=middle.ref)) == [middle.ref]


def test_reset(db: Dolt) -> None:
    db.sql("update goods set price = 4 where id = 1")
    db.sql("create table fresh (x int primary key)")
    db.add(".")
    db.reset("goods")
    assert db.status().modified_tables == {"goods": False}
    db.add("goods")
    db.reset(["goods", "fresh"])
    assert db.status() == Status(False, {"goods": False}, {"fresh": False})
    db.add(".")
    db.reset()  # what is staged stays so: doltcli gives --soft
    assert db.status() == Status(False, {"goods": True}, {"fresh": True})
    db.reset(hard=True)
    assert db.status().modified_tables == {}
    assert doltcli.read_rows(db, "goods") == GOODS


def test_reset_to_a_revision(db: Dolt) -> None:
    first = db.head
    second = change(db, "update goods set price = 4 where id = 1", "second")
    db.reset(revision="HEAD~1", soft=True)
    assert db.head == first and db.status().modified_tables == {"goods": True}
    db.reset(revision=second, hard=True)
    assert db.head == second and db.status().is_clean
    db.reset(revision=first)  # doltcli gives --soft
    assert db.head == first and db.status().modified_tables == {"goods": True}
    db.reset(hard=True)
    for wrong in [{"hard": True, "soft": True}, {"hard": True, "tables": "goods"}, {"revision": first, "tables": "goods"}]:
        with pytest.raises(ValueError):
            db.reset(**wrong)


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


def test_merge(db: Dolt) -> None:
    db.checkout("trial", checkout_branch=True)
    change(db, "insert into goods values (3, 'oil', 7)", "oil")
    db.checkout("main")
    db.merge("trial")
    assert messages(db)[0] == "oil"
    db.merge("trial")  # there is nothing new
    assert messages(db)[0] == "oil"
    with pytest.raises(ValueError, match="non-existent"):
        db.merge("nowhere")
    db.sql("delete from goods where id = 3")
    with pytest.raises(ValueError, match="please commit"):
        db.merge("trial")


def two_sides(db: Dolt, ours: str, theirs: str) -> None:
    """Makes a branch trial and main differ by a statement each."""
    db.checkout("trial", checkout_branch=True)
    change(db, theirs, "theirs")
    db.checkout("main")
    change(db, ours, "ours")


@pytest.mark.parametrize("message", [None, "both"])
def test_merge_commits(db: Dolt, message: str | None) -> None:
    two_sides(db, "insert into goods values (3, 'oil', 7)", "insert into goods values (4, 'fig', 2)")
    db.merge("trial", message=message)
    assert {r["id"] for r in doltcli.read_rows(db, "goods")} == {"1", "2", "3", "4"}
    commit = db.log()[db.head]
    assert commit.merge and len(commit.parents) == 2
    assert commit.message == (message or "Merge branch 'trial' into main")


def test_merge_squash(db: Dolt) -> None:
    two_sides(db, "insert into goods values (3, 'oil', 7)", "insert into goods values (4, 'fig', 2)")
    db.merge("trial", squash=True)
    if not db.status().is_clean:
        db.commit("squashed")
    assert {r["id"] for r in doltcli.read_rows(db, "goods")} == {"1", "2", "3", "4"}
    assert not db.log()[db.head].merge


def test_merge_with_conflicts(db: Dolt) -> None:
    two_sides(db, "update goods set price = 4 where id = 1", "update goods set price = 5 where id = 1")
    ours = db.head
    with pytest.raises(DoltException) as raised:
        db.merge("trial")
    assert raised.value.exitcode == 1
    assert "CONFLICT (content): Merge conflict in goods" in raised.value.stdout
    db.execute(["merge", "--abort"])
    assert db.head == ours and db.status().is_clean


def test_diff(db: Dolt) -> None:
    """doltcli gives the answers to nobody: they are asked for once more, with the arguments that it makes."""
    first = db.head
    change(db, "update goods set price = 4 where id = 1", "dearer tea")
    db.sql("insert into goods values (3, 'oil', 7)")
    db.sql("create table fresh (x int primary key)")
    for arguments, args, words in [
        ({}, [], ["diff --dolt a/goods b/goods", "| + | 3  | oil"]),
        ({"commit": "HEAD"}, ["HEAD"], ["| + | 3  | oil"]),
        ({"commit": first, "other_commit": "HEAD"}, [first, "HEAD"], ["| < | 1  | tea  | 3.5", "| > | 1  | tea  | 4"]),
        ({"commit": "HEAD", "tables": "goods"}, ["HEAD", "goods"], ["| + | 3  | oil"]),
        ({"tables": ["goods"]}, ["goods"], ["| + | 3  | oil"]),
        ({"summary": True}, ["--summary"], ["goods", "modified"]),
        ({"data": True, "limit": 1}, ["--limit", "1"], ["| + | 3  | oil"]),
        ({"sql": True}, ["--sql"], ["INSERT INTO `goods` (`id`,`name`,`price`) VALUES (3,'oil',7"]),
    ]:
        db.diff(**arguments)
        out = text(db, "diff", *args)
        assert all(w in out for w in words), (args, out)
    with pytest.raises(ValueError):
        db.diff(data=True, summary=True)
    with pytest.raises(DoltException):
        db.diff(schema=True)  # doltcli gives the flag letter by letter


def test_diff_where(db: Dolt) -> None:
    db.sql("insert into goods values (3, 'oil', 7), (4, 'fig', 2)")
    db.sql("delete from goods where id = 1")
    db.diff(data=True, where="to_price > 2")
    out = text(db, "diff", "--where", "to_price > 2")
    assert "oil" in out and "fig" not in out and "tea" not in out
    out = text(db, "diff", "--where", "from_name = 'tea' or to_id = 4", "--limit", "1")
    assert "tea" in out and "oil" not in out and "fig" not in out
    with pytest.raises(DoltException):
        db.diff(data=True, where="no_such_column = 1")


def test_blame(db: Dolt) -> None:
    change(db, "update goods set price = 4 where id = 1", "dearer tea")
    db.blame("goods")
    out = text(db, "blame", "goods")
    assert out.count("dearer tea") == 1 and out.count("first goods") == 1
    db.blame("goods", rev="HEAD~1")
    assert text(db, "blame", "HEAD~1", "goods").count("first goods") == 2
    with pytest.raises(DoltException):
        db.blame("nowhere")


def test_branch(db: Dolt) -> None:
    first = db.log()[db.head].parents
    active, branches = db.branch()
    assert [active] == branches
    assert (active.name, active.hash) == ("main", db.head)
    assert (active.latest_committer, active.latest_committer_email) == ("Ada Lovelace", "ada@example.org")
    assert active.latest_commit_message == "first goods"
    assert names(db.branch("side")) == ("main", {"main", "side"})
    _, branches = db.branch("old", start_point="HEAD~1")
    assert {b.name: b.hash for b in branches} == {"main": db.head, "side": db.head, "old": first}
    with pytest.raises(DoltException):
        db.branch("side", start_point="HEAD~1")
    _, branches = db.branch("side", start_point="HEAD~1", force=True)
    assert {b.hash for b in branches if b.name == "side"} == {first}
    assert "third" in names(db.branch("old", new_branch="third", copy=True))[1]
    assert "fourth" in names(db.branch(new_branch="fourth", copy=True))[1]
    with pytest.raises(DoltException):
        db.branch("old", new_branch="fourth", copy=True)
    assert names(db.branch("old", new_branch="fourth", copy=True, force=True))[1] == {"main", "side", "old", "third", "fourth"}
    assert names(db.branch("third", new_branch="fifth", move=True))[1] == {"main", "side", "old", "fifth", "fourth"}
    assert names(db.branch("fifth", delete=True))[1] == {"main", "side", "old", "fourth"}
    assert names(db.branch("fourth", delete=True, force=True))[1] == {"main", "side", "old"}
    assert names(db.branch(new_branch="trunk", move=True)) == ("trunk", {"trunk", "side", "old"})
    assert names(db.branch(all=True)) == ("trunk", {"trunk", "side", "old"})
    assert names(db.branch(remote=True)) == ("trunk", set())
    for wrong in [{"force": True}, {"copy": True, "move": True}, {"copy": True}, {"delete": True}, {"move": True}]:
        with pytest.raises(ValueError):
            db.branch(**wrong)


def test_newer_columns_of_branches(db: Dolt) -> None:
    db.sql("delete from goods")
    query = "select dirty, latest_author from dolt_branches where name = 'main'"
    assert db.sql(query, result_format="csv") == [{"dirty": "1", "latest_author": "Ada Lovelace"}]


def test_checkout(db: Dolt) -> None:
    first = db.log()[db.head].parents
    db.checkout("side", checkout_branch=True)
    assert db.active_branch == "side"
    db.checkout("old", checkout_branch=True, start_point="HEAD~1")
    assert (db.active_branch, db.head) == ("old", first)
    db.checkout("main")
    assert db.active_branch == "main"
    with pytest.raises(DoltException):
        db.checkout("nowhere")
    db.sql("delete from goods where id = 1")
    db.checkout(tables="goods")
    assert db.status().is_clean
    db.sql("delete from goods where id = 1")
    db.checkout(tables=["goods"])
    assert doltcli.read_rows(db, "goods") == GOODS
    with pytest.raises(ValueError):
        db.checkout("main", tables="goods")


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


def test_detach_head(db: Dolt) -> None:
    first, head = db.log()[db.head].parents, db.head
    with doltcli.detach_head(db, first):
        assert db.head == first
        assert db.active_branch == f"detached_HEAD_at_{first[:5]}"
    assert (db.active_branch, db.head) == ("main", head)
    with doltcli.detach_head(db, head):
        assert db.active_branch == "main"
    with doltcli.detach_head(db, first):  # the branch is there already
        assert db.head == first
    assert db.active_branch == "main"


def test_config_global(db: Dolt) -> None:
    assert Dolt.config_global(list=True) == {}
    Dolt.config_global(add=True, name="user.name", value="Grace Hopper")
    Dolt.config_global(add=True, name="user.email", value="grace@example.org")
    assert Dolt.config_global(list=True) == {"user.name": "Grace Hopper", "user.email": "grace@example.org"}
    Dolt.config_global(get=True, name="user.name")
    assert text(db, "config", "--global", "--get", "user.name") == "Grace Hopper\n"
    Dolt.config_global(unset=True, name="user.email")
    assert Dolt.config_global(list=True) == {"user.name": "Grace Hopper"}
    with pytest.raises(DoltException):
        Dolt.config_global(get=True, name="user.email")


def test_config_local(db: Dolt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEMMA_AUTHOR_NAME")
    monkeypatch.delenv("STEMMA_AUTHOR_EMAIL")
    Dolt.config_global(add=True, name="user.name", value="Grace Hopper")
    Dolt.config_global(add=True, name="user.email", value="grace@example.org")
    db.config_local(add=True, name="user.name", value="Rear Admiral")
    assert db.config_local(list=True) == {"user.name": "Rear Admiral"}
    db.config_local(get=True, name="user.name")
    db.commit("empty", allow_empty=True)
    commit = db.log()[db.head]
    assert (commit.author, commit.email) == ("Rear Admiral", "grace@example.org")
    db.config_local(unset=True, name="user.name")
    assert db.config_local(list=True) == {}
    for wrong in [{}, {"add": True, "list": True}, {"add": True, "name": "x"}, {"list": True, "name": "x"}, {"get": True}]:
        with pytest.raises(ValueError):
            db.config_local(**wrong)


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


def test_dolt_path(db: Dolt, home: Path) -> None:
    doltcli.set_dolt_path(str(home / "commands" / "dolt"))
    try:
        assert db.status().is_clean
    finally:
        doltcli.set_dolt_path("dolt")


def test_other_verbs(db: Dolt, home: Path) -> None:
    """What doltcli has no method for is called by execute."""
    db.execute(["tag", "v1", "-m", "the first"])
    assert db.execute(["tag"]) == "\tv1\n"
    assert doltcli.read_rows(db, "goods", as_of="v1") == GOODS
    db.execute(["dump", "-f", "--no-create-db", "-fn", str(home / "dump.sql")])
    again = Dolt.init(str(home / "again"))
    again.execute(["sql", "--file", str(home / "dump.sql")])
    assert doltcli.read_rows(again, "goods") == GOODS


def test_remotes(db: Dolt, home: Path) -> None:
    remote = home / "share"
    url = f"file://{remote}"
    assert db.remote() == []
    db.remote(add=True, name="origin", url=url)
    assert [(r.name, r.url) for r in db.remote()] == [("origin", url)]
    with pytest.raises(DoltException):
        db.remote(add=True, name="origin", url=url)
    db.push("origin", "main", set_upstream=True)
    other = Dolt.clone(url, new_dir=str(home / "other"))
    assert other.head == db.head
    assert [(r.name, r.url) for r in other.remote()] == [("origin", url)]
    assert other.sql("select count(*) as n from goods", result_format="csv") == db.sql("select count(*) as n from goods", result_format="csv")
    with pytest.raises(DoltException):
        Dolt.clone(url, new_dir=str(home / "other"))

    before = other.head
    head = change(db, "delete from goods", "none left")
    db.push("origin", "main")
    other.fetch()
    assert other.head == before
    other.pull("origin", "main")
    assert other.head == head
    assert other.status().is_clean

    db.branch("side")
    db.push("origin", "side")
    other.fetch("origin", ["side"])
    assert {b.name for b in other.branch(remote=True)[1]} >= {"remotes/origin/main", "remotes/origin/side"}
    other.checkout("side")
    assert other.head == head
    third = Dolt.clone(url, new_dir=str(home / "third"), remote="upstream", branch="side")
    assert [r.name for r in third.remote()] == ["upstream"]

    change(other, "insert into goods values (3, 'oat', 1.0)", "ours")
    theirs = change(db, "insert into goods values (4, 'nut', 2.0)", "theirs")
    other.push("origin", "side:main")
    with pytest.raises(DoltException):
        db.push("origin", "main")
    db.push("origin", "main", force=True)
    other.fetch()
    assert other.sql("select hashof('origin/main') as h", result_format="csv") == [{"h": theirs}]
    db.remote(remove=True, name="origin")
    assert db.remote() == []
    with pytest.raises(DoltException):
        db.push("origin", "main")


def test_remote_options(db: Dolt, home: Path) -> None:
    """Each option that clone, fetch, pull, push and remote have in doltcli, in what combinations it lets them have."""
    url = f"file://{home / 'hub' / 'share'}"
    for wrong in [{"add": True}, {"add": True, "name": "x"}, {"remove": True}, {"add": True, "remove": True, "name": "x", "url": url}]:
        with pytest.raises(ValueError):
            db.remote(**wrong)
    with pytest.raises(DoltException):
        db.remote(remove=True, name="nowhere")
    db.remote(add=True, name="origin", url=url)
    db.remote(add=True, name="spare", url=f"file://{home / 'hub' / 'spare'}")
    assert {r.name for r in db.remote()} == {"origin", "spare"}

    with pytest.raises(DoltException) as raised:
        db.push("nowhere", "main")
    assert raised.value.exitcode == 1
    with pytest.raises(DoltException):
        db.push("origin", "no-branch")
    db.push("origin", "main", set_upstream=True)
    db.push("origin", "main", set_upstream=True, force=True)  # nothing is new
    db.push("spare", "main:trial")
    assert db.sql("select name, remote, branch from dolt_branches", result_format="csv") == [{"name": "main", "remote": "origin", "branch": "main"}]

    os.chdir(home)
    plain = Dolt.clone(url)  # into a directory of the name that the URL ends with
    assert Path(plain.repo_dir).resolve() == home / "share"
    with pytest.raises(DoltException):
        Dolt.clone(f"file://{home / 'hub' / 'none'}", new_dir=str(home / "none"))
    with pytest.raises(DoltException):
        Dolt.clone(url, new_dir=str(home / "none"), branch="no-branch")
    trial = Dolt.clone(f"file://{home / 'hub' / 'spare'}", new_dir=str(home / "trial"), remote="up", branch="trial")
    assert trial.active_branch == "trial" and [r.name for r in trial.remote()] == ["up"]
    assert {b.name for b in trial.branch(remote=True)[1]} == {"remotes/up/trial"}
    with pytest.raises(DoltException):
        trial.fetch()  # there is no origin
    trial.fetch("up")
    trial.pull("up")
    assert trial.head == db.head

    head = change(db, "insert into goods values (7, 'pie', 4)", "pie")
    db.push("origin")
    db.push("origin", "main:next")
    plain.fetch("origin", "next")
    assert {b.name: b.hash for b in plain.branch(remote=True)[1]} == {"remotes/origin/main": plain.head, "remotes/origin/next": head}
    plain.fetch("origin", ["main", "next"], force=True)
    assert {b.name: b.hash for b in plain.branch(remote=True)[1]} == {"remotes/origin/main": head, "remotes/origin/next": head}
    for wrong in [("nowhere", None), ("origin", ["no-branch"])]:
        with pytest.raises(DoltException):
            plain.fetch(*wrong)
    with pytest.raises(DoltException):
        plain.pull("origin", "no-branch")
    plain.pull()
    assert plain.head == head and plain.status().is_clean
    ours = change(plain, "insert into goods values (8, 'ale', 4)", "ale")
    change(db, "insert into goods values (9, 'jam', 4)", "jam")
    db.push("origin", "main")
    with pytest.raises(DoltException):
        plain.push("origin", "main")
    plain.pull("origin")
    assert plain.log()[plain.head].merge and ours in plain.log()
    plain.push("origin")
    db.pull("origin", "main")
    assert db.head == plain.head
    db.push("origin", ":next")
    assert text(db, "ls-remote", "origin").splitlines() == [f"{db.head}\trefs/heads/main"]


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
