"""Reads the parts of a table in processes of their own."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pyarrow as pa

import stemma


def read_part(part: stemma.Partition) -> tuple[list[int], list[int], list[int]]:
    """What a worker reads of a part, in each of its ways."""
    return (
        part.read_pandas(columns=["id"]).id.tolist(),
        part.read_polars()["id"].to_list(),
        part.read_arrow(columns=["id"], where="id % 2 = 0").column("id").to_pylist(),
    )


def read_by_workers(repo: stemma.Repo) -> None:
    """Has processes that share nothing with this one read the parts of a table, whatever becomes of it."""
    repo.write(pa.table({"id": range(9000), "x": [str(i) for i in range(9000)]}), "parts", primary_key="id", message="parts")
    parts = repo.partitions("parts", "main", 3)
    repo.sql("delete from parts")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        read = list(pool.map(read_part, parts))
    for way in range(2):
        assert [n for r in read for n in r[way]] == list(range(9000))
    assert [n for r in read for n in r[2]] == list(range(0, 9000, 2))
