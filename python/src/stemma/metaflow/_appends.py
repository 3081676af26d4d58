"""What a task has appended: how it is known again by a later attempt, and which of it this attempt has met."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemma._frames import source

if TYPE_CHECKING:
    import pyarrow as pa

    from stemma.metaflow._task import Task

__all__ = ["Met", "digest"]


def digest(frame: Any, table: str) -> str:
    """Returns what tells the rows of a frame from others: names, types and values of its columns, row by row."""
    import pyarrow as pa

    known = hashlib.sha256()
    data = source(frame, table).open().read_all()
    for name, column in zip(data.column_names, data.columns, strict=True):
        known.update(json.dumps([name, str(column.type), len(column)]).encode())
        # What memory holds where a value is NULL is not the frame's.
        for part in (column.is_valid(), column.drop_null()):
            batch, out = pa.record_batch([_plain(part)], ["v"]), pa.BufferOutputStream()
            with pa.ipc.new_stream(out, batch.schema) as stream:  # with the dictionaries of what is nested
                stream.write_batch(batch)
            known.update(out.getvalue())
    return known.hexdigest()


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """Returns a column in one piece; one of a dictionary as its values: their numbers may be others in each piece."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


class Met:
    """The records of earlier attempts that this attempt of a task has met: each stands for one append.

    Processes that the task forks share it, so that a record that one of them has met is none for the others.
    """

    def __init__(self, task: Task) -> None:
        self._of = [task.pathspec, task.attempt]

    def add(self, record: str) -> None:
        """Notes that a record was met."""
        self._note(record, met=True)

    def remove(self, record: str) -> None:
        """Takes it back: what met it has not come into the target."""
        self._note(record, met=False)

    def all(self) -> set[str]:
        """Returns the records that were met."""
        found: set[str] = set()
        file = _file()
        for line in os.pread(file, os.fstat(file).st_size, 0).splitlines():
            of, record, met = json.loads(line)
            if of == self._of:
                (found.add if met else found.discard)(record)
        return found

    def _note(self, record: str, *, met: bool) -> None:
        os.write(_file(), json.dumps([self._of, record, met]).encode() + b"\n")


@cache
def _file() -> int:
    """Returns a file without a name, which ends with the last process that has it."""
    file, path = tempfile.mkstemp(prefix="stemma-")
    Path(path).unlink()
    return file


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_file)
