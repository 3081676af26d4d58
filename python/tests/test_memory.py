"""Reads by way of memory that is shared with the owner of a directory give what they give over its socket."""

from __future__ import annotations

import multiprocessing
import os

import pyarrow as pa
import pytest

import stemma
from stemma._transport import memory

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no files of memory")


@pytest.fixture
def filled(shared: stemma.Repo, table: str) -> str:
    """A table of more than one batch, with dictionaries, JSON, NULLs and a truth value."""
    shared.sql(
        f"create table {table} (k int primary key, e enum('a','b','c'), j json, n bigint, b boolean, d decimal(20,3))",
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
    assert empty.schema.names == ["k", "e", "j", "n", "b", "d"]
    assert len(used) == 2


def test_frames_outlive_what_they_came_from(shared: stemma.Repo, filled: str) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    frames = [shared.read_polars(filled, columns=["k", "n"]) for _ in range(20)]
    assert all(f["n"].max() == 69_999 * 10**12 and f["k"].n_unique() == 70_000 for f in frames)
    if before:
        # A mapping keeps a descriptor at most; the read itself keeps none.
        assert len(os.listdir("/proc/self/fd")) <= before + 20 + 2
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.map(_sum_of, [(shared, filled)]) == [sum(range(70_000))]


def test_frames_leave_descriptors_for_others(shared: stemma.Repo, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST", 3)
    assert memory.open_(os.fspath(shared.uri)) is None
    assert shared.read_arrow(filled).num_rows == 70_000


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
    monkeypatch.delenv("STEMMA_SHARED_MEMORY")
    monkeypatch.setattr(memory.socket, "send_fds", _refused)
    assert memory.open_(os.fspath(shared.uri)) is None
    assert shared.read_arrow(filled).num_rows == 70_000


def _refused(*_: object) -> int:
    raise PermissionError("descriptors are forbidden here")
