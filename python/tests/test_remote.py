"""Databases at remotes, read without a clone."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import stemma


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
    for action in (
        lambda: there.sql("delete from prices"),
        lambda: there.branch("mine"),
        lambda: there.write({"id": [7]}, "new", mode="create"),
    ):
        with pytest.raises(stemma.ReadOnlyError, match="without a clone"):
            action()
    with pytest.raises(stemma.InvalidError, match="push"):
        stemma.connect(url, create=True)
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


def test_many_at_once(remote: tuple[stemma.Repo, str]) -> None:
    _, url = remote
    code = "import stemma, sys; print(stemma.read_arrow(sys.argv[1], 'prices').num_rows)"
    processes = [subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert [p.communicate()[0].strip() for p in processes] == ["2"] * 6


def test_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(stemma.StemmaError, match="bucket"):
        stemma.connect("gs://")
    with pytest.raises(stemma.NotFoundError, match="not a stemma database|no directory"):
        stemma.connect(f"file://{tmp_path}/nothing")
