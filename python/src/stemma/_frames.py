"""Frames of pandas, Polars and others as Arrow record batches to be written, with nothing lost on the way that is not said."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from stemma._errors import InvalidError
from stemma._nested import nested_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

BATCH_ROWS = 1 << 16


class Source:
    """What is to be written.

    Attributes:
        schema: its Arrow schema.
        rows: the number of its rows; None when it is not known before.
        open: returns its batches; of a source that is not repeatable only once.
        repeatable: whether it can be read again.
        notes: what is stored otherwise than it is in the frame.

    """

    def __init__(
        self,
        schema: pa.Schema,
        rows: int | None,
        open_: Callable[[], pa.RecordBatchReader],
        *,
        repeatable: bool,
        notes: Iterable[str] = (),
    ) -> None:
        self.schema = schema
        self.rows = rows
        self.open = open_
        self.repeatable = repeatable
        self.notes = tuple(notes)


def source(data: Any, table: str) -> Source:
    """Returns a frame, a table, a reader or rows as something that can be written. InvalidError says what cannot be."""
    import pyarrow as pa

    notes: list[str] = []
    match _library(data):
        case "pandas":
            from stemma._pandas import to_arrow

            if hasattr(data, "to_frame") and not hasattr(data, "columns"):
                data = data.to_frame()
            return _of_table(to_arrow(data, table, notes), table, notes)
        case "polars":
            return _of_table(_polars(data, table, notes), table, notes)
        case "stemma" if hasattr(data, "to_arrow"):
            data = data.to_arrow()
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        return _of_table(data, table, notes)
    if isinstance(data, pa.RecordBatchReader):
        return _of_reader(data, table)
    if hasattr(data, "__arrow_c_stream__"):
        return _of_reader(pa.RecordBatchReader.from_stream(data), table)
    if isinstance(data, dict):
        return _of_table(_columns(data, table, notes), table, notes)
    if isinstance(data, (list, tuple)) and data and all(isinstance(r, dict) for r in data):
        names = list(dict.fromkeys(k for r in data for k in r))
        return _of_table(_columns({n: [r.get(n) for r in data] for n in names}, table, notes), table, notes)
    file = isinstance(data, (str, os.PathLike))
    raise InvalidError(
        f"write {table}: {type(data).__name__} is not a frame",
        hint="table_import loads files"
        if file
        else "a frame of pandas or Polars, an Arrow table or reader, a list of dicts or a dict of lists can be written",
        table=table,
    )


def _library(data: Any) -> str:
    return type(data).__module__.split(".", 1)[0]


def _columns(columns: dict[Any, Any], table: str, notes: list[str]) -> pa.Table:
    import pyarrow as pa

    from stemma._objects import object_array

    arrays: list[Any] = []
    for name, values in columns.items():
        if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
            raise InvalidError(
                f"write {table}: column {name!r} is not a list but {type(values).__name__}", table=table, column=str(name)
            )
        given = isinstance(values, (pa.Array, pa.ChunkedArray))
        arrays.append(values if given else object_array(str(name), list(values), table, notes=notes))
    lengths = {len(a) for a in arrays}
    if len(lengths) > 1:
        raise InvalidError(
            f"write {table}: the columns are of different lengths: {', '.join(map(str, sorted(lengths)))} rows", table=table
        )
    check_names(list(columns), table)
    return pa.table(arrays, names=list(columns))


def _polars(data: Any, table: str, notes: list[str]) -> pa.Table:
    import polars as pl
    import pyarrow as pa

    if isinstance(data, pl.Series):
        data = data.to_frame()
    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    for name, dtype in data.schema.items():
        if dtype == pl.Object:
            raise InvalidError(
                f"write {table}: column {name!r} has Polars' type Object, which has no SQL type",
                hint="cast it",
                table=table,
                column=name,
            )
        if isinstance(dtype, pl.Categorical):
            notes.append(f"column {name}: categories are stored as text; a pl.Enum is stored as ENUM")
    out = data.to_arrow()
    fields = []
    for f, dtype in zip(out.schema, data.schema.values(), strict=True):
        made = f
        if isinstance(dtype, pl.Enum) and (kind := enum_type(dtype.categories.to_list())):
            made = f.with_metadata({"stemma.type": kind})
        elif dtype in (pl.Int128, getattr(pl, "UInt128", pl.Int128)):
            raise InvalidError(
                f"write {table}: column {f.name!r} has 128-bit integers, which no SQL type holds",
                hint="cast it to pl.Decimal(38, 0)",
                table=table,
                column=f.name,
            )
        fields.append(made)
    return out.cast(pa.schema(fields)) if fields else out


def enum_type(values: list[Any]) -> str | None:
    """Returns the SQL type ENUM of these values; None when ENUM would not keep each of them apart as it is."""
    if (
        not values
        or len(values) > 65535
        or not all(isinstance(v, str) and len(v) <= 255 and not v.endswith(" ") and v for v in values)
    ):
        return None
    if len({v.lower() for v in values}) != len(values):
        return None
    return "enum(" + ",".join("'" + v.replace("\\", "\\\\").replace("'", "''") + "'" for v in values) + ")"


def enum_values(kind: str) -> list[str] | None:
    """Returns the values of an SQL type `enum('a','b')`; None when it is another type."""
    if not kind.lower().startswith("enum("):
        return None
    return [v.replace("''", "'").replace("\\\\", "\\") for v in re.findall(r"'((?:[^'\\]|''|\\.)*)'", kind)]


def check_names(names: list[Any], table: str) -> None:
    """Refuses names that are no text and names that are there twice: SQL does not tell upper case from lower."""
    seen: dict[str, str] = {}
    for n in names:
        if not isinstance(n, str):
            raise InvalidError(
                f"write {table}: the name of column {n!r} is not text but {type(n).__name__}",
                hint="rename it: df.columns = df.columns.map(str)",
                table=table,
            )
        if not n:
            raise InvalidError(f"write {table}: a column has an empty name", table=table)
        if n.lower() in seen:
            first = seen[n.lower()]
            both = f"{n!r} is there twice" if first == n else f"{first!r} and {n!r} are the same name in SQL"
            raise InvalidError(f"write {table}: column {both}", hint="rename one of the two", table=table, column=n)
        seen[n.lower()] = n
    if not names:
        raise InvalidError(f"write {table}: the frame has no columns", table=table)


def _of_table(data: pa.Table, table: str, notes: list[str]) -> Source:
    check_names(data.column_names, table)
    data = _plain(data.unify_dictionaries() if any(map(_is_dictionary, data.schema.types)) else data)
    return Source(
        data.schema, data.num_rows, lambda: data.to_reader(BATCH_ROWS), repeatable=True, notes=[*notes, *_type_notes(data.schema)]
    )


def _of_reader(data: pa.RecordBatchReader, table: str) -> Source:
    import pyarrow as pa

    check_names(data.schema.names, table)
    if any(map(_is_dictionary, data.schema.types)):
        # Its dictionaries may differ from batch to batch.
        plain = pa.schema([f.with_type(f.type.value_type) if _is_dictionary(f.type) else f for f in data.schema])
        data = pa.RecordBatchReader.from_batches(plain, (b.cast(plain) for b in data))
    return Source(data.schema, None, lambda: data, repeatable=False, notes=_type_notes(data.schema))


def _type_notes(schema: pa.Schema) -> list[str]:
    """Returns what the types of a schema tell of what is stored otherwise than it is."""
    import pyarrow as pa

    out = nested_notes(schema)
    for f in schema:
        if pa.types.is_time(f.type):
            out.append(f"column {f.name}: times of day are stored as TIME, which is read as a span of time")
        elif pa.types.is_float16(f.type):
            out.append(f"column {f.name}: floats of 16 bits are stored in 32")
        elif getattr(f.type, "extension_name", "") == "arrow.uuid":
            out.append(f"column {f.name}: UUIDs are stored as text")
    return out


def untyped_notes(schema: pa.Schema) -> list[str]:
    """Returns which columns of a table that was made anew have a type of which the frame said nothing."""
    import pyarrow as pa

    return [f"column {f.name}: is text, as it has only NULL, which says of no type" for f in schema if pa.types.is_null(f.type)]


def _is_dictionary(t: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_dictionary(t))


def _plain(data: pa.Table) -> pa.Table:
    """Returns a table without encodings that are of Arrow alone, and without pandas' notes about itself."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for i, f in enumerate(data.schema):
        t = f.type
        if pa.types.is_run_end_encoded(t):
            data = data.set_column(
                i, f.with_type(t.value_type), pa.chunked_array([pc.run_end_decode(c) for c in data.column(i).chunks], t.value_type)
            )
        elif pa.types.is_decimal32(t) or pa.types.is_decimal64(t):
            wide = pa.decimal128(t.precision, t.scale)
            data = data.set_column(i, f.with_type(wide), data.column(i).cast(wide))
    return data.replace_schema_metadata(None)
