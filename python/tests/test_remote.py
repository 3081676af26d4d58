"""Databases at remotes, read without a clone."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import stemma
from stemma import _address, _copies, _owner


@pytest.fixture
def remote(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[stemma.Repo, str]:
    """A database with a table at two commits, and the URL of the remote to which it was pushed."""
    monkeypatch.setenv("STEMMA_CACHE", str(tmp_path / "cache"))
    repo = stemma.connect(directory)
    for n, message in enumerate(["one", "two"]):
        repo.sql("create table if not exists prices (id int primary key, price double)")
        repo.sql(f"insert into prices values ({n}, {n}.5)")
        repo.add(".")
        repo.commit(message=message)
        repo.tag(f"v{n}")
    url = f"file://{tmp_path}/remote/shop"
    repo.remote("add", "origin", url)
    repo.push(all=True, tags=True)
    return repo, url


def test_reads_without_a_clone(remote: tuple[stemma.Repo, str], monkeypatch: pytest.MonkeyPatch) -> None:
    repo, url = remote
    assert stemma.read_arrow(url, "prices").num_rows == 2
    assert stemma.read_arrow(url, "prices@v0").column("price").to_pylist() == [0.5]
    assert stemma.read_pandas(url, "prices@v1", columns=["price"])["price"].tolist() == [0.5, 1.5]
    there = stemma.connect(url)
    assert there.uri == url
    assert [c.message for c in there.log()][:2] == ["two", "one"]
    assert pickle.loads(pickle.dumps(there)).read_arrow("prices", "main").num_rows == 2
    monkeypatch.setenv("STEMMA_URI", url)
    assert stemma.read_arrow("prices", "v0").num_rows == 1
    with pytest.raises(stemma.InvalidError, match="a server, which makes it"):
        stemma.connect("https://localhost:1/shop", create=True)
    # What was pushed meanwhile is seen by who connects, and by who asks for it.
    repo.sql("insert into prices values (9, 9)")
    repo.add(".")
    repo.commit(message="three")
    repo.branch("fix")
    repo.tag("v0", delete=True)
    repo.tag("v0", "HEAD")
    repo.push(all=True)
    assert there.read_arrow("prices").num_rows == 2
    assert stemma.connect(url, branch="fix").read_arrow("prices").num_rows == 3
    assert there.read_arrow("prices").num_rows == 3
    there.fetch()


def test_writes_where_it_is(remote: tuple[stemma.Repo, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, url = remote
    with stemma.connect(url) as one:
        one.sql("update prices set price = 7 where id = 0")
        one.write({"id": [7]}, "new", mode="create")
        one.sql("call dolt_commit('-Am', 'three')")
        one.branch("mine")
        one.write({"id": [8]}, "new", mode="append", write_id="load-1")
    monkeypatch.setenv("STEMMA_CACHE", str(tmp_path / "other machine"))
    with stemma.connect(url) as two:
        assert two.read_arrow("prices").column("price").to_pylist() == [7, 1.5]
        assert two.read_arrow("new", "mine").num_rows == 1
        two.write({"id": [8]}, "new", mode="append", write_id="load-1")  # sent again, after the first machine died, say
        assert two.read_arrow("new").num_rows == 2
        assert next(iter(two.log())).message == "three"


def test_makes_one_where_it_is(remote: tuple[stemma.Repo, str], tmp_path: Path) -> None:
    _, url = remote
    with stemma.connect(url, create=True) as there:  # which has one, and keeps it
        assert there.read_arrow("prices").num_rows == 2
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / _address.MARKER).write_bytes((tmp_path / "remote" / "shop" / _address.MARKER).read_bytes())
    with stemma.connect(f"file://{fresh}", create=True) as made:
        made.write({"id": [7]}, "new", mode="create")
        made.sql("call dolt_commit('-Am', 'first')")
    assert next(iter(stemma.connect(f"file://{fresh}").log())).message == "first"


def test_runs_where_it_is(remote: tuple[stemma.Repo, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, url = remote
    uid = str(uuid.uuid4())
    with stemma.connect(url) as one:
        one.run_start(uid, job="train")
        on = one.at(run=uid)
        on.read_arrow("prices")
        on.sql("update prices set price = 7 where id = 0")
        on.sql("call dolt_commit('-am', 'trained')")
        one.run_end(uid)
    monkeypatch.setenv("STEMMA_CACHE", str(tmp_path / "other machine"))
    with stemma.connect(url) as two:
        made = two.sql("select run_uid from stemma_run_outputs where table_name = 'prices'")
        assert made["run_uid"].tolist() == [uid]
        read = two.sql(f"select table_name from stemma_run_inputs where run_uid = '{uid}'")
        assert "prices" in read["table_name"].tolist()


def test_many_at_once(remote: tuple[stemma.Repo, str]) -> None:
    _, url = remote
    code = "import stemma, sys; print(stemma.read_arrow(sys.argv[1], 'prices').num_rows)"
    processes = [subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert [p.communicate()[0].strip() for p in processes] == ["2"] * 6


def test_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(stemma.InvalidError, match="names no bucket"):
        stemma.connect("gs://")
    with pytest.raises(stemma.NotFoundError, match="not a stemma database|no directory"):
        stemma.connect(f"file://{tmp_path}/nothing")


@pytest.mark.parametrize("scheme", ["https", "http", "s3", "gs", "az"])
def test_a_password_in_the_url_is_refused_and_not_shown(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing may be started for it: the arguments of a process can be read by others.
    monkeypatch.setenv("STEMMA_BINARY", "/does/not/exist")
    for user in ("ada:secret", "secret", "ada:se/cret"):
        with pytest.raises(stemma.InvalidError, match="STEMMA_REMOTE_PASSWORD") as e:
            stemma.connect(f"{scheme}://{user}@db.example.org:8816/shop")
        for part in ("secret", "cret@"):
            assert part not in repr(e.value) + str(e.value)


def test_an_at_sign_in_a_path_is_no_user() -> None:
    for url in ("gs://bucket/a@b", "https://db.example.org:8816/a@b", "http://[::1]:8816/a@b", "http://[::1]/a@b"):
        assert str(_address.parse(url)) == url


def test_an_error_has_the_class_that_the_program_gives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMMA_CACHE", str(tmp_path))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A scheme that stemma does not have, and a server that does not answer.
    with pytest.raises(stemma.UnsupportedError, match="not known") as unknown:
        _copies.copy_of("ftp://db.example.org/shop")
    assert not isinstance(unknown.value, stemma.TooNewError)
    with pytest.raises(stemma.UnavailableError) as gone:
        _copies.copy_of(f"http://127.0.0.1:{port}/shop")
    assert not isinstance(gone.value, stemma.LockedError)
    assert "class:" not in str(unknown.value) + str(gone.value)


def test_the_class_of_an_owner_that_does_not_start(tmp_path: Path) -> None:
    _owner.run(["init"], "no database", _owner.START, cwd=str(tmp_path))
    file = tmp_path / ".stemma" / "FORMAT"
    file.write_text(file.read_text().replace("required ", "required of-later "))
    with pytest.raises(stemma.TooNewError, match="of-later") as e:
        stemma.connect(tmp_path)
    assert "class:" not in str(e.value)


def test_a_pull_with_rebase_where_there_is_nothing_to_rebase(remote: tuple[stemma.Repo, str], tmp_path: Path) -> None:
    repo, url = remote
    repo.clone(url, str(tmp_path / "clone"))
    clone = stemma.connect(tmp_path / "clone")
    row = clone.pull(rebase=True)[0]
    assert (row.fast_forward, row.conflicts, row.message) == (False, False, "Everything up-to-date")
    repo.sql("insert into prices values (9, 9)")
    repo.commit(message="three", all=True)
    repo.push("origin", "main")
    assert clone.pull(rebase=True)[0].fast_forward is True
    assert clone.log()[0].message == "three"
    assert clone.pull()[0].message == "Everything up-to-date"


def test_repair_is_of_the_database_that_was_named(
    remote: tuple[stemma.Repo, str], tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the Repo's database, not of the working directory's, where paths begin."""
    repo, url = remote
    monkeypatch.chdir(directory)  # a database, too
    repo.clone(url, str(tmp_path / "other"))
    other = stemma.connect(tmp_path / "other")
    other.gc(full=True)
    for pack in list((tmp_path / "other/.stemma/packs").iterdir()):
        pack.unlink()
    with pytest.raises(stemma.NotFoundError, match="unknown remote: 'orign'"):
        other.fsck(repair=True, from_="orign")
    there = os.path.relpath(url.removeprefix("file://"), directory)
    assert there.startswith("../")
    done = other.fsck(repair=True, from_=there)
    assert done.exit_code == 0
    assert any(line.startswith("Repaired: ") for line in done.lines)
    assert other.fsck().lines[-1].endswith("no problems found")
    assert other.read_arrow("prices").num_rows == 2
    # A copy goes where its name begins: at the working directory as well.
    other.backup("copied")
    assert (directory / "copied").is_dir()
    other.close()


def test_a_part_of_some_tables(tmp_path: Path, directory: Path) -> None:
    repo = stemma.connect(directory)
    repo.sql("create table airlines (id int primary key, name varchar(9))")
    repo.sql("create table planes (id int primary key, airline int references airlines (id))")
    repo.sql("create table airports (id int primary key, alt int)")
    repo.sql("insert into airlines values (1, 'a')")
    repo.sql("insert into airports values (1, 1), (2, 2)")
    repo.add(".")
    repo.commit(message="one")
    url = f"file://{tmp_path}/remote/fl"
    repo.remote("add", "origin", url)
    repo.push("origin", "main")
    subprocess.run([_owner.program(), "clone", "--tables", "airports,planes", url, str(tmp_path / "part")], check=True)
    part = stemma.connect(tmp_path / "part")
    rows = [{"id": 2, "alt": 20}, {"id": 3, "alt": 3}]
    assert str(part.write(rows, "airports", mode="upsert")).startswith("airports: 1 inserted, 1 updated")
    assert str(part.write(rows[1:], "airports", mode="merge")).startswith("airports: 0 inserted")
    part.write(rows, "airports", mode="replace")
    with pytest.raises(
        stemma.NotFoundError, match="the table airlines is not here: the database is a part of .* bring the rest with"
    ):
        part.write([{"id": 1, "airline": 1}], "planes", mode="upsert")
    with pytest.raises(stemma.NotFoundError, match="the table airlines is not here"):
        part.write([{"id": 1, "name": "b"}], "airlines", mode="upsert")
    with pytest.raises(stemma.NotFoundError, match="the table airlines is not here"):
        part.read_arrow("airlines")
    part.fetch(complete=True)
    part.write([{"id": 1, "airline": 1}], "planes", mode="upsert")
    assert part.read_arrow("airlines").num_rows == 1


def test_without_a_database(remote: tuple[stemma.Repo, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, url = remote
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert [r.ref for r in stemma.ls_remote(url)] == ["refs/heads/main", "refs/tags/v0", "refs/tags/v1"]
    assert [r.ref for r in stemma.ls_remote(url, heads=True)] == ["refs/heads/main"]
    with stemma.clone(url, "mine") as mine:
        assert mine.read_arrow("prices").num_rows == 2
        assert mine.remote("get-url", "origin")[0].url == url
    with stemma.clone(url, rev="v0", remote="there") as named:
        assert (tmp_path / "empty/shop").is_dir()
        assert named.read_arrow("prices").num_rows == 1
    with stemma.backup_restore(url, tmp_path / "restored", at="v0") as restored:
        assert restored.read_arrow("prices").num_rows == 1
    with pytest.raises(stemma.NotFoundError, match="does not appear to be a remote"):
        stemma.ls_remote(f"file://{tmp_path}/nowhere")
    with pytest.raises(stemma.ExistsError, match="already exists"):
        stemma.clone(url, "mine")
