"""Reads by way of memory that is shared with the owner of a directory give what they give over its socket."""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

import stemma
from stemma import _owner
from stemma._transport import memory
from stemma._transport.http2 import LostError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this system has no files of memory")


@pytest.fixture
def filled(shared: stemma.Repo, table: str) -> str:
    """A table of several parts, with dictionaries, JSON, NULLs and a truth value."""
    shared.sql(
        f"create table {table} (k int primary key, e enum('a','b','c'), j json, n bigint, b boolean, d decimal(20,3), x double, s varchar(40))",
        frame="arrow",
    )
    rows = 70_000
    frame = pa.table(
        {
            "k": pa.array(range(rows), pa.int32()),
            "e": ["abc"[i % 3] if i % 11 else None for i in range(rows)],
            "j": [f'{{"i": {i}}}' if i % 7 else None for i in range(rows)],
            "n": [i * 10**12 if i % 5 else None for i in range(rows)],
            "b": [i % 2 == 0 for i in range(rows)],
            "d": pa.array(range(rows), pa.decimal128(20, 3)),
            "x": [i / 4 for i in range(rows)],
            "s": [f"text {i} that is no short one" for i in range(rows)],
        }
    )
    shared.write(frame, table, mode="append")
    return table


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[memory.Memory]:
    """The memory that reads have shared."""
    made: list[memory.Memory] = []
    plain = memory.open_

    def opened(directory: str) -> memory.Memory | None:
        space = plain(directory)
        assert space is not None
        made.append(space)
        return space

    monkeypatch.setattr(memory, "open_", opened)
    return made


def test_memory_and_socket_agree(shared: stemma.Repo, filled: str, used: list[memory.Memory]) -> None:
    got, want = shared.read_arrow(filled), shared.scan(filled).read_all()
    assert len(used) == 1
    got.validate(full=True)
    assert got.equals(want)
    assert got.schema.equals(want.schema, check_metadata=True)
    assert got.num_rows == 70_000


def test_nothing_to_read(shared: stemma.Repo, filled: str, used: list[memory.Memory]) -> None:
    assert shared.read_arrow(filled, columns=[]).num_rows == 70_000
    empty = shared.read_arrow(filled, where="k < 0")
    assert empty.num_rows == 0
    assert empty.schema.names == ["k", "e", "j", "n", "b", "d", "x", "s"]
    assert len(used) == 2


def mapped() -> int:
    """How many files of memory this process has mapped."""
    return sum("memfd:stemma" in line for line in Path("/proc/self/maps").read_text().splitlines())


def test_frames_outlive_what_they_came_from(shared: stemma.Repo, filled: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    frames = [shared.read_polars(filled, columns=["k", "n"]) for _ in range(20)]
    assert all(f["n"].max() == 69_999 * 10**12 and f["k"].n_unique() == 70_000 for f in frames)
    assert len(os.listdir("/proc/self/fd")) <= before + 2, "a frame keeps a descriptor"
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.map(_sum_of, [(shared, filled)]) == [sum(range(70_000))]


def test_memory_ends_with_its_column(shared: stemma.Repo, filled: str) -> None:
    gc.collect()
    before = mapped()
    frame = shared.read_pandas(filled, columns=["k", "s", "x"])
    assert mapped() == before + 3
    kept = frame["x"]
    del frame
    gc.collect()
    assert mapped() == before + 1
    assert kept.sum() == sum(i / 4 for i in range(70_000))
    del kept
    gc.collect()
    assert mapped() == before
    table = shared.read_arrow(filled, columns=["k", "s"])
    text = table["s"].chunk(0).slice(69_998)
    del table
    gc.collect()
    assert mapped() == before + 1
    assert text.to_pylist() == ["text 69998 that is no short one", "text 69999 that is no short one"]


def test_numbers_and_text_are_not_copied(shared: stemma.Repo, filled: str) -> None:
    before = mapped()
    frame = shared.read_pandas(filled, columns=["x", "s", "k"])
    assert list(map(str, frame.dtypes)) == ["float64", "str", "int32"]
    assert mapped() == before + 3
    polars = shared.read_polars(filled, columns=["x", "s", "k"])
    assert mapped() == before + 6
    assert polars.n_chunks() == 1
    assert polars["s"].to_list() == frame["s"].to_list()
    assert frame["s"].iloc[1] == "text 1 that is no short one"


def test_without_descriptors(shared: stemma.Repo, filled: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(n) for n in os.listdir("/proc/self/fd"))
    shared.read_arrow(filled, columns=["k"])  # what is to be opened is open
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 5, hard))
    try:
        assert shared.read_arrow(filled, columns=["k", "n", "x", "s", "b", "d"]).num_rows == 70_000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_that_forks_keeps_its_frame(shared: stemma.Repo, filled: str) -> None:
    frame = shared.read_pandas(filled, columns=["x"])
    child = os.fork()
    if not child:
        frame.loc[0, "x"] = -1.0
        os._exit(0 if frame["x"].iloc[0] == -1.0 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert frame["x"].iloc[0] == 0.0
    frame.loc[1, "x"] = 7.0
    assert frame["x"].iloc[:3].tolist() == [0.0, 7.0, 0.5]


@pytest.fixture
def long(shared: stemma.Repo, table: str) -> str:
    """A table whose columns have files that are worth keeping; its text grows shorter and shorter as one looks at column after column."""
    rows = 700_000
    shared.sql(f"create table {table} (k int primary key, x double, y double, s varchar(40), t varchar(40))", frame="arrow")
    k = pa.array(range(rows), pa.int32())
    text = pa.array([f"text {i % 1000} that is no short one" for i in range(rows)])
    short = pa.array([f"t {i % 1000}" for i in range(rows)])
    shared.write(pa.table({"k": k, "x": k.cast("double"), "y": [i / 4 if i % 3 else None for i in range(rows)], "s": text, "t": short}), table, mode="append")
    return table


def nodes() -> set[int]:
    """The files of memory that this process has mapped."""
    return {int(line.split()[4]) for line in Path("/proc/self/maps").read_text().splitlines() if "memfd:stemma" in line}


def test_memory_is_used_again(shared: stemma.Repo, long: str) -> None:
    want = shared.scan(long).read_all()
    before = nodes()
    got = shared.read_arrow(long)
    first = nodes() - before
    assert len(first) == 5
    assert got.equals(want)
    del got
    for columns in (None, ["y", "t", "x"], ["t", "s"], ["s", "y", "k"], None):
        got = shared.read_arrow(long, columns=columns)
        got.validate(full=True)
        assert got.equals(want.select(columns) if columns else want)
        del got
    assert (nodes() - before) == set()
    frame = shared.read_polars(long, columns=["s", "x", "t"])
    assert (nodes() - before) & first, "no file was used again"
    assert frame["t"].to_list() == want["t"].to_pylist()
    assert shared.read_arrow(long, where="k < 5")["t"].to_pylist() == ["t 0", "t 1", "t 2", "t 3", "t 4"]


def test_memory_that_is_not_used_again_ends(shared: stemma.Repo, long: str) -> None:
    def open_() -> int:
        return sum("memfd:stemma" in os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{n}"))

    frame = shared.read_pandas(long)
    assert open_() == 4, "of all columns but the short one"
    del frame
    deadline = time.monotonic() + 60
    while open_():
        assert time.monotonic() < deadline, "files are kept for longer than they should be"
        time.sleep(0.1)


def test_memory_of_another_process_is_not_used_again(shared: stemma.Repo, long: str) -> None:
    frame = shared.read_pandas(long, columns=["x", "y"])
    was = nodes()
    sent, send = os.pipe()
    child = os.fork()
    if not child:
        os.read(sent, 1)
        os._exit(0 if frame["x"].iloc[699_999] == 699_999 and frame["x"].sum() == 699_999 * 350_000 else 1)
    del frame
    gc.collect()
    other = shared.read_pandas(long, columns=["y", "x"])
    assert not nodes() & was
    assert other["y"].iloc[1] == 0.25
    os.write(send, b"x")
    assert os.waitpid(child, 0)[1] == 0


def test_many_readers(shared: stemma.Repo, filled: str) -> None:
    want = shared.scan(filled).read_all()
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: shared.read_arrow(filled), range(24)):
            assert got.equals(want)


def test_edits_that_are_in_no_commit(shared: stemma.Repo, filled: str) -> None:
    shared.sql(f"update {filled} set s = 'edited', n = null where k in (7, 69999)", frame="arrow")
    shared.sql(f"delete from {filled} where k = 100", frame="arrow")
    got, want = (
        shared.read_arrow(filled, columns=["k", "n", "s", "b"]),
        shared.scan(filled, columns=["k", "n", "s", "b"]).read_all(),
    )
    assert got.num_rows == 69_999
    assert got.equals(want)


def owner_of(repo: stemma.Repo) -> int:
    """The process that owns a database."""
    with _owner.connect(os.fspath(repo.uri)) as s:
        return int(struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


def test_an_owner_without_descriptors(shared: stemma.Repo, filled: str, used: list[memory.Memory]) -> None:
    owner = owner_of(shared)
    soft, hard = resource.prlimit(owner, resource.RLIMIT_NOFILE)
    most = max(int(n) for n in os.listdir(f"/proc/{owner}/fd"))
    resource.prlimit(owner, resource.RLIMIT_NOFILE, (most + 3, hard))
    try:
        assert shared.read_arrow(filled, columns=["k", "n", "x", "s", "b", "d"]).num_rows == 70_000
    finally:
        resource.prlimit(owner, resource.RLIMIT_NOFILE, (soft, hard))
    assert len(used) == 1
    assert shared.read_arrow(filled, columns=["k"]).num_rows == 70_000
    for _ in range(1000):  # the owner closes its files behind the answer
        if not [n for n in os.listdir(f"/proc/{owner}/fd") if "memfd:" in link(f"/proc/{owner}/fd/{n}")]:
            return
        time.sleep(0.01)
    pytest.fail("the owner keeps files of memory open")


def link(path: str) -> str:
    """What a link means; nothing when it is gone meanwhile."""
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""


def test_an_owner_that_dies(repo: stemma.Repo, table: str) -> None:
    rows = 500_000
    repo.write(pa.table({"k": pa.array(range(rows), pa.int64()), "s": [str(i) for i in range(rows)]}), table, mode="create")
    for wait in (0.0, 0.002, 0.005, 0.01, 0.02):
        killer = threading.Timer(wait, os.kill, (owner_of(repo), signal.SIGKILL))
        killer.start()
        got = repo.read_arrow(table)
        killer.join()
        assert got["k"].to_pylist() == list(range(rows))
        assert got["s"][rows - 1].as_py() == str(rows - 1)


@contextmanager
def given(*files: int) -> Iterator[memory.Memory]:
    """Memory of which an owner gives these files."""
    here, there = socket.socketpair()
    with here:
        with there:
            if files:
                socket.send_fds(there, [b"\0"], files)
        yield memory.Memory(here, "given")


def test_memory_that_is_not_what_it_should_be() -> None:
    with given() as m, pytest.raises(LostError, match="ended"):
        m._map([4096], writable=False)
    file = os.memfd_create("short")
    try:
        os.truncate(file, 4096)
        with given(file) as m, pytest.raises(LostError, match="shorter"):
            m._map([8192], writable=False)
        with given(file) as m, pytest.raises(OSError, match="lost"):
            m._map([4096, 4096], writable=False)
        with given(file) as m:
            assert m._map([4096], writable=False)[0].size == 4096
    finally:
        os.close(file)


def test_an_older_owner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for answer in (b"", b"send\n"[:3]):  # it hangs up
        here, there = socket.socketpair()
        there.sendall(answer)
        there.close()
        monkeypatch.setattr(_owner, "connect", lambda _, s=here: s)
        assert memory.open_(os.fspath(tmp_path)) is None
        assert here.fileno() == -1


def _sum_of(what: tuple[stemma.Repo, str]) -> int:
    repo, name = what
    return int(repo.read_pandas(name, columns=["k"])["k"].sum())


def test_a_frame_of_pandas_can_be_changed(shared: stemma.Repo, filled: str) -> None:
    frame = shared.read_pandas(filled, columns=["k", "d"])
    frame.loc[0, "k"] = -1
    frame["k"] += 1
    assert frame["k"].iloc[0] == 0
    assert shared.read_pandas(filled, columns=["k"])["k"].iloc[0] == 0


def test_an_error_in_the_middle(shared: stemma.Repo, table: str, used: list[memory.Memory]) -> None:
    shared.sql(f"create table {table} (k int primary key, b boolean)", frame="arrow")
    shared.write(pa.table({"k": pa.array(range(70_000), pa.int32()), "b": [True] * 70_000}), table, mode="append")
    shared.sql(f"update {table} set b = 7 where k = 69000", frame="arrow")
    with pytest.raises(stemma.InvalidError, match="69000"):
        shared.read_arrow(table)
    assert shared.read_arrow(table, columns=["k"]).num_rows == 70_000
    assert len(used) == 2


def test_without_memory(shared: stemma.Repo, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMMA_SHARED_MEMORY", "0")
    assert memory.open_(os.fspath(shared.uri)) is None
    assert shared.read_arrow(filled).num_rows == 70_000


def test_libraries_are_imported_beside_the_read(shared: stemma.Repo, filled: str, tmp_path: Path) -> None:
    read = f"""
import sys, stemma
repo = stemma.connect({os.fspath(shared.uri)!r})
assert "pandas" not in sys.modules and "polars" not in sys.modules
assert len(repo.read_pandas({filled!r})) == 70_000
assert len(repo.read_polars({filled!r}, columns=["k", "s"])) == 70_000
"""
    subprocess.run([sys.executable, "-c", read], check=True)
    # What fails in the import is told as where it is needed.
    (tmp_path / "pandas.py").write_text("raise ImportError('this pandas is broken')")
    done = subprocess.run(
        [sys.executable, "-c", read],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.fspath(tmp_path)},
    )
    assert done.returncode
    assert done.stderr.rstrip().endswith("ImportError: this pandas is broken")
    assert "Thread" not in done.stderr
