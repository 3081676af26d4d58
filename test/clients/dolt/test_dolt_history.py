"""Each of the methods of doltcli about commits, branches and settings."""

from __future__ import annotations

import datetime
from pathlib import Path

import doltcli
import pytest
from doltcli import Dolt, DoltException, Status

from dolts import GOODS, change, is_hash, messages, names, text


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
