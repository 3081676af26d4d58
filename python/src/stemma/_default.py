"""The database that calls without one are about."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from stemma import _address
from stemma._repo import Mode, Repo, Settings, WriteResult, connect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from stemma._pandas import Backend
    from stemma._partition import Partition
    from stemma._read import Frame

_lock = threading.Lock()
_repos: dict[tuple[_address.Address, Settings], Repo] = {}
_named: dict[tuple[str, str], Repo] = {}

if hasattr(os, "register_at_fork"):

    def _unlock() -> None:
        global _lock  # noqa: PLW0603 - another thread may have held it when the process was forked
        _lock = threading.Lock()

    os.register_at_fork(after_in_child=_unlock)


def shared(address: _address.Address, settings: Settings) -> Repo:
    """Returns the repo of this process for an address and settings."""
    with _lock:
        repo = _repos.get((address, settings))
        if repo is None:
            repo = _repos[address, settings] = Repo(address, settings)
        return repo


def default() -> Repo:
    """Returns the database of STEMMA_URI, of `database` in stemma.yaml, or of the working directory."""
    uri = _address.default()
    key = (uri, str(Path.cwd()))
    repo = _named.get(key)
    if repo is None:
        repo = _named[key] = connect(uri)
    return repo


def read_pandas(
    table: str,
    ref: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    dtype_backend: Backend | None = None,
) -> pd.DataFrame:
    """Returns a table of the default database at a ref as a frame of pandas; see Repo.read_pandas."""
    return default().read_pandas(table, ref, columns=columns, where=where, dtype_backend=dtype_backend)


def read_polars(
    table: str, ref: str | None = None, *, columns: Sequence[str] | None = None, where: str | None = None
) -> pl.DataFrame:
    """Returns a table of the default database at a ref as a frame of Polars; see Repo.read_polars."""
    return default().read_polars(table, ref, columns=columns, where=where)


def read_arrow(table: str, ref: str | None = None, *, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
    """Returns a table of the default database at a ref as an Arrow table; see Repo.read_arrow."""
    return default().read_arrow(table, ref, columns=columns, where=where)


def scan(
    table: str,
    ref: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    rows: tuple[int, int] | None = None,
    batch_rows: int | None = None,
) -> pa.RecordBatchReader:
    """Returns a table of the default database at a ref as a reader of record batches; see Repo.scan."""
    return default().scan(table, ref, columns=columns, where=where, rows=rows, batch_rows=batch_rows)


@overload
def sql(
    query: str, *, ref: str | None = None, params: Sequence[Any] | None = None, frame: Literal["pandas"] = "pandas"
) -> pd.DataFrame: ...
@overload
def sql(query: str, *, ref: str | None = None, params: Sequence[Any] | None = None, frame: Literal["polars"]) -> pl.DataFrame: ...
@overload
def sql(query: str, *, ref: str | None = None, params: Sequence[Any] | None = None, frame: Literal["arrow"]) -> pa.Table: ...
def sql(query: str, *, ref: str | None = None, params: Sequence[Any] | None = None, frame: Frame = "pandas") -> Any:
    """Runs a statement of SQL in the default database and returns its rows; see Repo.sql."""
    return default().sql(query, ref=ref, params=params, frame=frame)


def partitions(table: str, ref: str | None = None, n: int = 8) -> list[Partition]:
    """Returns a table of the default database at a ref in n parts; see Repo.partitions."""
    return default().partitions(table, ref, n)


def write(
    data: Any,
    table: str,
    *,
    mode: Mode = "merge",
    primary_key: Sequence[str] | str | None = None,
    message: str | None = None,
    write_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> WriteResult:
    """Writes a frame to a table of the default database; see Repo.write."""
    return default().write(data, table, mode=mode, primary_key=primary_key, message=message, write_id=write_id, metadata=metadata)
