"""The owner of a directory: started when there is none, shared by all, replaced when it dies, gone when nobody needs it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

import stemma
from stemma import _owner

FRAME = pd.DataFrame({"id": range(1000), "x": [str(i) for i in range(1000)]})


def owners(directory: Path) -> list[int]:
    """The processes that own a directory or wait to."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"--private" in words and os.fsencode(directory) in words:
                found.append(int(entry.name))
    return found


linux = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="it looks at processes in /proc")


def until(true: object, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def kill(directory: Path) -> None:
    for pid in owners(directory):
        os.kill(pid, signal.SIGKILL)
    assert until(lambda: not owners(directory))


def count(repo: stemma.Repo) -> int:
    return len(repo.read_pandas("t"))


def child(repo: stemma.Repo, n: int) -> None:
    assert count(repo) >= 1000
    repo.write({"id": [10_000 + n], "x": ["child"]}, "t", mode="append")
    os._exit(0)


@linux
def test_one_owner_that_ends(directory: Path) -> None:
    assert until(lambda: not owners(directory)), "that of the fixture"
    with stemma.connect(directory) as a, stemma.connect(directory) as b:
        a.write(FRAME, "t", primary_key="id")
        assert count(b) == 1000
        assert len(owners(directory)) == 1
    assert until(lambda: not owners(directory), 20)
    with stemma.connect(directory) as again:
        assert count(again) == 1000


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes(repo: stemma.Repo, method: str) -> None:
    repo.write(FRAME, "t", primary_key="id")
    context = multiprocessing.get_context(method)
    children = [context.Process(target=child, args=(repo, n)) for n in range(3)]
    for c in children:
        c.start()
    for c in children:
        c.join(90)
        assert c.exitcode == 0
    assert count(repo) == 1003


def test_threads(repo: stemma.Repo) -> None:
    repo.write(FRAME, "t", primary_key="id")
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: count(repo), range(32))) == [1000] * 32
        done = list(pool.map(lambda n: repo.write({"id": [2000 + n], "x": ["y"]}, "t", mode="append"), range(16)))
    assert sum(d.inserted for d in done) == 16
    assert count(repo) == 1016


def test_pickle(repo: stemma.Repo) -> None:
    repo.write(FRAME, "t", primary_key="id", message="t")
    with pickle.loads(pickle.dumps(repo)) as again:
        assert count(again) == 1000
    with pickle.loads(pickle.dumps(repo.at(ref="HEAD~1"))) as old, pytest.raises(stemma.NotFoundError):
        count(old)


def test_event_loop(repo: stemma.Repo) -> None:
    repo.write(FRAME, "t", primary_key="id")

    async def work() -> int:
        return count(repo) + await asyncio.to_thread(count, repo)

    assert asyncio.run(work()) == 2000


PROGRAM = """
import sys, stemma
repo = stemma.connect(sys.argv[1])
repo.write({"id": [int(sys.argv[2])], "x": ["p"]}, "t", mode="create_append", primary_key="id")
print("ready", flush=True)
sys.stdin.readline()
"""


def test_many_processes_at_once_on_a_path_without_owner(directory: Path) -> None:
    with stemma.connect(directory) as repo:
        repo.write({"id": [0], "x": ["first"]}, "t", primary_key="id")
    kill(directory)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, directory, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for n in range(1, 4)
    ]
    for p in started:
        assert p.stdout is not None
        assert p.stdout.readline() == "ready\n"
    assert len(owners(directory)) == 1
    started[0].kill()  # be it the one that started the owner or not
    started[0].communicate()
    with stemma.connect(directory) as repo:
        assert sorted(repo.read_pandas("t").id) == list(range(4))
    for p in started[1:]:
        p.communicate("\n")
        assert p.returncode == 0


@linux
def test_the_starter_dies(directory: Path) -> None:
    kill(directory)
    starter = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, directory, "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert starter.stdout is not None
    assert starter.stdout.readline() == "ready\n"
    (owner,) = owners(directory)
    with stemma.connect(directory) as repo:
        assert len(repo.read_pandas("t")) == 1
        os.killpg(starter.pid, signal.SIGKILL)
        starter.communicate()
        time.sleep(0.3)
        assert len(repo.read_pandas("t")) == 1
        assert owners(directory) == [owner]


@linux
def test_the_owner_is_killed(repo: stemma.Repo) -> None:
    repo.write(FRAME, "t", primary_key="id")
    directory = Path(repo.uri)
    for _ in range(3):
        kill(directory)
        assert count(repo) == 1000
    kill(directory)
    assert repo.write({"id": [5000], "x": ["after"]}, "t", mode="append").inserted == 1
    kill(directory)
    assert repo.log()[-1].message == "Initialize data repository"


@linux
def test_the_owner_is_killed_during_writes(repo: stemma.Repo) -> None:
    """Whatever a write said is what there is: an answered one is there, and a row is there once."""
    repo.write(FRAME, "t", primary_key="id")
    directory = Path(repo.uri)
    stop = threading.Event()

    def killer() -> None:
        while not stop.wait(0.3):
            for pid in owners(directory):
                os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=killer)
    thread.start()
    answered, lost = set(), 0
    try:
        for n in range(2000, 2040):
            try:
                assert repo.write({"id": [n], "x": ["y"]}, "t", mode="append", message=f"row {n}").inserted == 1
                answered.add(n)
            except stemma.UnavailableError:
                lost += 1
            time.sleep(0.02)
    finally:
        stop.set()
        thread.join()
    there = set(repo.read_pandas("t", where="id >= 2000").id)
    assert answered <= there
    messages = [c.message for c in repo.log()]
    assert len(messages) == len(set(messages)), "a commit was made twice"
    assert answered, f"{lost} of 40 writes were lost, all others too"


@linux
def test_the_owner_is_killed_during_transactions(repo: stemma.Repo) -> None:
    """A transaction is there with its commit or not at all, and is what the answer said it was."""
    repo.write(FRAME, "t", primary_key="id", message="t")
    repo.write({"id": [0]}, "u", primary_key="id", message="u")
    directory = Path(repo.uri)
    stop = threading.Event()

    def killer() -> None:
        while not stop.wait(0.25):
            for pid in owners(directory):
                os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=killer)
    thread.start()
    commits: dict[int, str | None] = {}
    try:
        for n in range(2000, 2030):
            try:
                with repo.transaction(f"row {n}") as tx:
                    tx.write({"id": [n], "x": ["y"]}, "t", mode="append")
                    tx.sql(f"insert into u values ({n})")
                commits[n] = tx.commit_hash
            except (stemma.UnavailableError, stemma.NotFoundError):
                pass  # what was not ended went with the owner
    finally:
        stop.set()
        thread.join()
    assert commits
    assert repo.status().rows == ()
    history = {c.message: c.commit_hash for c in repo.log()}
    for n, commit in commits.items():
        assert commit is not None
        assert commit.startswith(history[f"row {n}"])
    for table in ("t", "u"):
        there = set(repo.read_pandas(table, where="id >= 2000").id)
        assert {f"row {n}" for n in there} == {m for m in history if m.startswith("row ")}


def test_functions_keep_their_connections(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that names its database connects once in a process; a process that forks goes on with what it has."""
    from stemma import _default

    connected: list[object] = []

    def connect(uri: object = None) -> stemma.Repo:
        connected.append(uri)
        return stemma.connect(uri)  # type: ignore[arg-type]

    monkeypatch.setattr(_default, "connect", connect)
    monkeypatch.setattr(_default, "KEPT", 3)
    uri = f"file://{directory}"
    stemma.write(uri, FRAME, "t", primary_key="id")
    assert len(stemma.read_pandas(uri, "t")) == 1000
    assert stemma.sql(uri, "select count(*) n from t").n[0] == 1000
    assert connected == [uri]
    if pid := os.fork():
        assert os.waitpid(pid, 0)[1] == 0
    else:
        code = 1
        try:
            stemma.write(uri, {"id": [5000], "x": ["child"]}, "t", mode="append")
            code = int(len(stemma.read_pandas(uri, "t")) != 1001 or connected != [uri])
        finally:
            os._exit(code)
    assert len(stemma.read_pandas(uri, "t")) == 1001
    assert connected == [uri]
    monkeypatch.setenv("STEMMA_AUTHOR_NAME", "Somebody Else")  # whom commits are to name from now on
    stemma.write(uri, {"id": [1]}, "u", primary_key="id", message="theirs")
    assert str(stemma.connect(uri).log()[0].author) == "Somebody Else"
    assert connected == [uri, uri]
    for n in range(5):
        other = tmp_path / f"db{n}"
        stemma.connect(other, create=True).close()
        stemma.sql(f"file://{other}", "select 1")
    assert len(_default._named) == 3
    assert len(stemma.read_pandas(uri, "t")) == 1001


def test_a_long_path(tmp_path: Path) -> None:
    directory = tmp_path / ("x" * 60) / ("y" * 60)
    with stemma.connect(directory, create=True) as repo:
        repo.write(FRAME, "t", primary_key="id")
        assert count(repo) == 1000
    path = _owner.socket_path(str(directory))
    assert len(path) <= 100
    assert ".stemma" not in path


@pytest.mark.skipif(os.getuid() != 0, reason="it gives a socket to another user")
def test_a_socket_of_somebody_else(tmp_path: Path) -> None:
    directory = tmp_path / ("x" * 60) / ("y" * 60)
    stemma.connect(directory, create=True).close()
    assert until(lambda: not owners(directory))
    path = Path(_owner.socket_path(str(directory)))
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()
        os.chown(path, 65534, 65534)
        with pytest.raises(stemma.DeniedError, match="another user"):
            stemma.connect(directory)
    path.unlink()


def test_a_call_is_interrupted(repo: stemma.Repo, interrupted: threading.Event) -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        repo.sql("select sleep(20)")
    interrupted.set()
    assert time.monotonic() - began < 15
    assert repo.sql("select 1 a").a[0] == 1


def test_author_of_statements(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit by SQL has the author that the settings name, as one by write has."""
    monkeypatch.delenv("STEMMA_AUTHOR_NAME")
    monkeypatch.delenv("STEMMA_AUTHOR_EMAIL")
    for setting in (["user.name", "Grace Hopper"], ["user.email", "grace@example.org"]):
        subprocess.run(
            [os.environ["STEMMA_BINARY"], "config", "--local", "--set", *setting], cwd=directory, check=True, capture_output=True
        )
    with stemma.connect(directory) as repo:
        repo.write({"i": [1]}, "t", mode="create", message="by write")
        repo.write({"i": [2]}, "t", mode="append")
        repo.sql("call dolt_commit('-am', 'by sql')")
        assert {(str(c.author), str(c.author_email)) for c in repo.log(number=2)} == {("Grace Hopper", "grace@example.org")}
