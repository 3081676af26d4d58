"""The methods of doltcli about remotes, and verbs that it has no method for."""

from __future__ import annotations

import os
from pathlib import Path

import doltcli
import pytest
from doltcli import Dolt, DoltException

from dolts import GOODS, change, text


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
