"""The rows of a training configuration, as one frame."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stemma import _address, _concat, _ops, _read, _statements
from stemma._errors import CorruptError, InvalidError, NotFoundError
from stemma._repo import Repo, connect

if TYPE_CHECKING:
    import os

    import pyarrow as pa

    from stemma._pandas import Backend
    from stemma._read import Frame


class SharedKeysWarning(UserWarning):
    """Two splits have keys in common: rows that are trained on and tested with."""


class StaleLockWarning(UserWarning):
    """The configuration asks for other tables than its lock file pins."""


class SchemaWarning(UserWarning):
    """The tables of a split differ in their columns or types."""


def load(
    config: str | os.PathLike[str] = "stemma.yaml",
    split: str = "train",
    *,
    frozen: bool = True,
    lock: str | os.PathLike[str] | None = None,
    frame: Frame = "pandas",
    source: str | None = "_source",
    schema: Literal["warn", "error", "ignore"] = "warn",
    repo: Repo | None = None,
    dtype_backend: Backend | None = None,
) -> Any:
    """Returns the tables of a split of a training configuration under each other.

    Rows come item after item, each in the order of its key. Columns are those of all items, by name; where an item has none of a name the
    cells are NULL. Types that differ become one that holds the values of both exactly, or it is an error. Warns of both with SchemaWarning, of
    keys that splits have in common with SharedKeysWarning, and of a lock file that is not of the configuration with StaleLockWarning.

    Args:
        config: the configuration, a file of YAML.
        split: the split.
        frozen: reads what the lock file pins, whatever the revisions mean now. Otherwise the lock file is not looked at.
        lock: the lock file; the configuration's name with `.lock` unless given. One that is given need not be of the configuration.
        frame: what the rows are returned as: pandas, polars or arrow.
        source: the column that says which item a row is of, such as `client_data@main`; None for no such column.
        schema: what to do about tables that differ: to warn, to raise InvalidError, or nothing.
        repo: the database; unless given, that of STEMMA_URI, of `database` in the configuration, or of its or the working directory.
        dtype_backend: as for read_pandas.

    """
    if schema not in {"warn", "error", "ignore"}:
        raise InvalidError(f"schema is 'warn', 'error' or 'ignore', not {schema!r}")
    _read.check(frame)
    file = Path(config)
    given: dict[str, Any] = {"config": str(file.absolute()), "config_text": _text(file), "split": split, "frozen": frozen}
    if frozen:
        locked = Path(lock) if lock is not None else file.with_suffix(".lock")
        given.update(
            lock=None if lock is None else str(locked),
            lock_text=_text(locked, f"make it with data_lock(config={str(file)!r}) of a database, or read with frozen=False"),
        )
    own = repo is None
    at = connect(_address.default(file)) if repo is None else repo
    try:
        items = at._op("data items", _ops.DataItemsRow, {**given, "shared_keys": not frozen})
        for hint in items.hints:
            warnings.warn(hint, SharedKeysWarning if "share keys" in hint else StaleLockWarning, stacklevel=2)
        parts = [_concat.Part(item.item or "", _rows_of(at, item)) for item in items]
    finally:
        if own:
            at.close()
    data, differences = _concat.concat(parts, source)
    if differences and schema == "error":
        raise InvalidError(
            f"the tables of split {split} differ: {'; '.join(differences)}", hint="choose columns in the configuration"
        )
    if differences and schema == "warn":
        warnings.warn(f"the tables of split {split} differ: {'; '.join(differences)}", SchemaWarning, stacklevel=2)
    return _frame(data, frame, dtype_backend)


def _text(file: Path, hint: str | None = None) -> str:
    """Returns the text of a file."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {file}", hint=hint) from None
    except (OSError, UnicodeDecodeError) as e:
        raise InvalidError(f"{file} cannot be read: {e}") from None


def _rows_of(repo: Repo, item: _ops.DataItemsRow) -> pa.Table:
    """Returns the rows of an item."""
    if item.directory:
        with connect(item.directory) as other:
            return _rows(other, item)
    return _rows(repo.at(database=item.database) if item.database else repo, item)


def _rows(repo: Repo, item: _ops.DataItemsRow) -> pa.Table:
    table, commit = item.table or "", item.commit or ""
    if item.where:
        data = repo.query(_statements.select(table, item.columns, item.where, item.primary_key), ref=commit).read_all()
    else:
        data = repo.read_arrow(table, commit, columns=item.columns)
    if item.rows is not None and data.num_rows != item.rows:
        raise CorruptError(
            f"{item.item} has {data.num_rows} rows, not the {item.rows} that it should have", table=table, ref=commit
        )
    return data


def _frame(data: pa.Table, frame: str, dtype_backend: Backend | None) -> Any:
    from stemma import _pandas

    match frame:
        case "arrow":
            return data
        case "polars":
            return _read.to_polars(data)
    return _pandas.from_arrow(data, dtype_backend)
