"""What is read, as the frame that was asked for."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from stemma._errors import InvalidError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    import pyarrow as pa

Frame = Literal["pandas", "polars", "arrow"]


def check(frame: Frame) -> None:
    """Refuses a frame that is none of those there are, or of a library that is not installed."""
    if frame not in {"pandas", "polars", "arrow"}:
        raise InvalidError(f"frame is 'pandas', 'polars' or 'arrow', not {frame!r}")
    if frame != "arrow" and frame not in sys.modules and importlib.util.find_spec(frame) is None:
        name = {"pandas": "pandas", "polars": "Polars"}[frame]
        raise UnsupportedError(
            f"{name} is not installed, and a frame of {name} was asked for",
            hint=f"pip install 'stemma-db[{frame}]', or pip install {frame}; read_arrow and frame='arrow' do without",
        )


def _import(name: str) -> None:
    with suppress(ImportError):
        importlib.import_module(name)


@contextmanager
def importing(frame: Frame) -> Iterator[None]:
    """Imports a library while something is done that waits for others: pandas takes as long as reading ten million rows."""
    if frame in sys.modules:
        yield
        return
    # What fails in the thread fails again where the library is used.
    thread = threading.Thread(target=_import, args=(frame,), name=f"import {frame}")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def convert(data: pa.Table, frame: Frame) -> Any:
    """Returns an Arrow table as a frame of the library named."""
    match frame:
        case "polars":
            return to_polars(data)
        case "pandas":
            from stemma import _pandas

            return _pandas.from_arrow(data)
    return data


def to_polars(data: pa.Table) -> pl.DataFrame:
    """Returns an Arrow table as a frame of Polars. JSON is text, ENUM is pl.Enum."""
    import polars as pl
    import pyarrow as pa

    from stemma._frames import enum_values
    from stemma._pandas import is_json

    enums = {}
    for i, f in enumerate(data.schema):
        if is_json(f) and hasattr(f.type, "storage_type"):
            data = data.set_column(i, pa.field(f.name, f.type.storage_type), data.column(i).cast(f.type.storage_type))
        elif pa.types.is_decimal256(f.type):
            raise UnsupportedError(
                f"column {f.name!r} is a DECIMAL of {f.type.precision} digits; Polars has at most 38",
                hint="read it with read_arrow or read_pandas",
                column=f.name,
            )
        elif pa.types.is_dictionary(f.type):
            if (values := enum_values((f.metadata or {}).get(b"stemma.type", b"").decode())) is not None:
                enums[f.name] = values
            data = data.set_column(i, pa.field(f.name, f.type.value_type), data.column(i).cast(f.type.value_type))
    out = pl.from_arrow(data.replace_schema_metadata(None), rechunk=False)
    if not isinstance(out, pl.DataFrame):
        raise InvalidError("what was read is not a table")
    return out.with_columns(pl.col(n).cast(pl.Enum(v)) for n, v in enums.items()) if enums else out
