"""Frames of pandas as Arrow tables and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, cast

from stemma._errors import InvalidError
from stemma._frames import check_names, enum_type, enum_values
from stemma._objects import object_array

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Backend = Literal["numpy_nullable", "pyarrow"]


def to_arrow(frame: pd.DataFrame, table: str, notes: list[str]) -> pa.Table:
    """Returns a frame as an Arrow table, its named index levels as columns first."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(frame.columns, pd.MultiIndex):
        raise InvalidError(
            f"write {table}: the frame's columns have several levels",
            hint="join them: df.columns = ['_'.join(c) for c in df.columns]",
            table=table,
        )
    columns: list[tuple[Any, pd.Series]] = [*_index(frame, table), *((n, frame.iloc[:, i]) for i, n in enumerate(frame.columns))]
    check_names([n for n, _ in columns], table)
    fields, arrays = [], []
    for name, series in columns:
        array, metadata = _column(name, series, table, notes)
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata=metadata))
    return pa.table(arrays, schema=pa.schema(fields))


def _index(frame: pd.DataFrame, table: str) -> list[tuple[Any, pd.Series]]:
    """Returns the index's levels that are columns. One without a name that only counts the rows is none."""
    import pandas as pd

    index = frame.index
    if index.nlevels == 1 and index.name is None:
        if isinstance(index, pd.RangeIndex) or pd.api.types.is_integer_dtype(index.dtype):
            return []
        raise InvalidError(
            f"write {table}: the frame's index has values of type {index.dtype} but no name, so that it is no column",
            hint="name it: df.rename_axis('name'), or leave it out: df.reset_index(drop=True)",
            table=table,
        )
    out: list[tuple[Any, pd.Series]] = []
    for level, name in enumerate(index.names):
        if name is None:
            raise InvalidError(
                f"write {table}: level {level} of the frame's index has no name", hint="name it: df.rename_axis([...])", table=table
            )
        out.append((name, pd.Series(index.get_level_values(level))))
    return out


def _column(name: str, series: pd.Series, table: str, notes: list[str]) -> tuple[Any, dict[str, str] | None]:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    dtype: Any = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        values = series.to_numpy()
        cells = values.tolist() if not _has_arrays(values) else list(values)
        return object_array(name, cells, table, series.isna().to_numpy().tolist(), notes), None
    if isinstance(dtype, pd.CategoricalDtype):
        return _category(name, series, table, notes)
    if isinstance(dtype, pd.SparseDtype):
        notes.append(f"column {name}: stored dense")
        return pa.array(cast("Any", series).sparse.to_dense(), from_pandas=True), None
    if isinstance(dtype, (pd.PeriodDtype, pd.IntervalDtype)) or dtype.kind == "c":
        hint = {"PeriodDtype": "use .dt.to_timestamp()", "IntervalDtype": "write its ends: .left and .right"}.get(
            type(dtype).__name__, "write .real and .imag"
        )
        raise InvalidError(
            f"write {table}: column {name!r} has the type {dtype}, which SQL has not", hint=hint, table=table, column=name
        )
    if isinstance(dtype, pd.DatetimeTZDtype) and str(dtype.tz) != "UTC":
        notes.append(f"column {name}: its times are stored as UTC, not in {dtype.tz}")
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as e:
        raise InvalidError(
            f"write {table}: column {name!r} of type {dtype} cannot be stored: {e}", table=table, column=name
        ) from None
    return array, None


def _category(name: str, series: pd.Series, table: str, notes: list[str]) -> tuple[Any, dict[str, str] | None]:
    import pandas as pd
    import pyarrow as pa

    categories = series.cat.categories
    if kind := enum_type(categories.tolist()):
        if series.cat.ordered:
            notes.append(f"column {name}: ENUM keeps the order of its values, but not that the category is ordered")
        array = pa.array(series, from_pandas=True)
        return array, {"stemma.type": kind}
    notes.append(
        f"column {name}: categories are stored as their values; ENUM holds only texts that differ in more than case and do not end in spaces"
    )
    if not len(categories) or categories.dtype == object:
        return _column(name, series.astype(object), table, notes)
    values, metadata = _column(name, pd.Series(categories), table, notes)
    codes = series.cat.codes.to_numpy()
    return values.take(pa.array(codes, mask=codes < 0)), metadata  # astype fails where a number is missing


def _has_arrays(values: Any) -> bool:
    return any(type(v).__name__ == "ndarray" for v in values)


def from_arrow(data: pa.Table, dtype_backend: Backend | None = None) -> pd.DataFrame:
    """Returns an Arrow table as a frame.

    Integers and truth values with NULLs have pandas' nullable types, without NULLs numpy's; JSON is Python objects, DECIMAL is Decimal, text is
    pandas' `str`. With a dtype_backend all columns have the types of that.
    """
    import pandas as pd
    import pyarrow as pa

    if dtype_backend not in {None, "numpy_nullable", "pyarrow"}:
        raise InvalidError(f"dtype_backend is 'numpy_nullable', 'pyarrow' or None, not {dtype_backend!r}")
    names = data.column_names
    special: dict[int, Any] = {}
    places: set[int] = set()
    for i, f in enumerate(data.schema):
        if not data.num_rows and (values := enum_values((f.metadata or {}).get(b"stemma.type", b"").decode())) is not None:
            special[i] = pd.Categorical(pd.Series([], dtype="str"), categories=pd.Index(values, dtype="str"))
        elif is_json(f):
            special[i] = _objects(data.column(i), pd)
        elif dtype_backend is None and data.column(i).null_count and (pa.types.is_integer(f.type) or pa.types.is_boolean(f.type)):
            special[i] = _nullable(f.type, pd).__from_arrow__(data.column(i))
        elif pa.types.is_fixed_size_list(f.type):
            special[i] = _vectors(data.column(i), pd)
        elif dtype_backend is None and (values := _numbers(data.column(i), places)) is not None:
            special[i] = values
    rest = data.select([i for i in range(len(names)) if i not in special])
    rest = rest.rename_columns([str(i) for i in range(len(names)) if i not in special]).replace_schema_metadata(None)
    rows = data.num_rows
    del data
    for i, f in enumerate(rest.schema):
        # pandas keeps text where Arrow has it, in views of messages that hold the other columns too.
        if rest.column(i).num_chunks > 1 and (pa.types.is_string(f.type) or pa.types.is_large_string(f.type)):
            rest = rest.set_column(i, f.name, _whole(rest.column(i)))
    options: dict[str, Any] = {"split_blocks": True, "self_destruct": True, "date_as_object": True}
    if dtype_backend == "pyarrow":
        options["types_mapper"] = pd.ArrowDtype
    elif dtype_backend == "numpy_nullable":
        options["types_mapper"] = lambda t: _mapped(t, pd)
    frame = rest.to_pandas(**options) if rest.num_columns else pd.DataFrame(index=pd.RangeIndex(rows))
    del rest
    if special:
        columns = {i: special[i] if i in special else frame[str(i)] for i in range(len(names))}
        frame = pd.DataFrame(columns, index=frame.index, copy=False)
    frame.columns = pd.Index(names, dtype="str") if names else pd.Index([], dtype="str")
    return frame


def _numbers(column: pa.ChunkedArray, places: set[int]) -> Any:
    """Returns a column of numbers or times as an array of NumPy in the same memory; None when it cannot be.

    It can where the memory may be written into, as that of a frame must. Places are those of the columns before.
    """
    import numpy as np
    import pyarrow as pa

    t = column.type
    if column.num_chunks != 1 or column.null_count or not len(column):
        return None
    if pa.types.is_integer(t) or pa.types.is_floating(t):
        dtype = np.dtype(t.to_pandas_dtype())
    elif pa.types.is_timestamp(t) and t.tz is None:
        dtype = np.dtype(f"datetime64[{t.unit}]")
    elif pa.types.is_duration(t):
        dtype = np.dtype(f"timedelta64[{t.unit}]")
    else:
        return None
    array = column.chunk(0)
    memory = array.buffers()[1]
    if not memory.is_mutable or memory.address in places:
        return None
    places.add(memory.address)
    return np.frombuffer(memory, dtype, len(array), array.offset * dtype.itemsize)


def _whole(column: pa.ChunkedArray) -> Any:
    """Returns a column of text in memory of its own."""
    import pyarrow as pa

    return column.cast(pa.large_string()).combine_chunks()


def is_json(f: pa.Field) -> bool:
    """Tells whether a field is JSON, however its extension type has reached us."""
    if getattr(f.type, "extension_name", "") == "arrow.json":
        return True
    return bool(f.metadata) and f.metadata.get(b"ARROW:extension:name") == b"arrow.json"


def _objects(column: pa.ChunkedArray, pd: Any) -> Any:
    storage = column.cast(column.type.storage_type) if hasattr(column.type, "storage_type") else column
    cells = [None if v is None else json.loads(v) for v in storage.to_pylist()]
    out = pd.Series([None] * len(cells), dtype=object)
    if cells:
        out = pd.Series(_object_array(cells), dtype=object)
    return out.array


def _object_array(cells: list[Any]) -> Any:
    import numpy as np

    out = np.empty(len(cells), dtype=object)
    out[:] = cells if not any(isinstance(c, list) for c in cells) else [None] * len(cells)
    if any(isinstance(c, list) for c in cells):
        for i, c in enumerate(cells):
            out[i] = c
    return out


def _vectors(column: pa.ChunkedArray, pd: Any) -> Any:
    import numpy as np

    out = np.empty(len(column), dtype=object)
    for i, v in enumerate(column):
        out[i] = None if v.as_py() is None else np.asarray(v.values, dtype=np.float32)
    return pd.Series(out, dtype=object).array


def _nullable(t: pa.DataType, pd: Any) -> Any:
    import pyarrow as pa

    return (
        pd.BooleanDtype()
        if pa.types.is_boolean(t)
        else getattr(pd, str(t).replace("uint", "UInt").replace("int", "Int") + "Dtype")()
    )


def _mapped(t: pa.DataType, pd: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_integer(t) or pa.types.is_boolean(t):
        return _nullable(t, pd)
    if pa.types.is_floating(t):
        return pd.Float32Dtype() if pa.types.is_float32(t) else pd.Float64Dtype()
    if pa.types.is_string(t) or pa.types.is_large_string(t):
        return pd.StringDtype()
    return None
