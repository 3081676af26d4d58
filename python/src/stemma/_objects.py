"""Columns of Python objects as Arrow arrays. What has no type of its own in SQL, or several, is refused with column and row."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from stemma import _nested as nested
from stemma._errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

EXACT = 1 << 53
"""Up to here a float holds every integer."""


def object_array(
    name: str, values: Sequence[Any], table: str, missing: Sequence[Any] | None = None, notes: list[str] | None = None
) -> pa.Array:
    """Returns Python objects as an array. Missing marks the values that stand for NULL; without it None and NaN-likes of pandas do.

    What is stored otherwise than it is becomes a note.
    """
    import pyarrow as pa

    null = [is_missing(v) for v in values] if missing is None else missing
    cells = [None if n else v for v, n in zip(values, null, strict=True)]
    kinds: dict[str, int] = {}
    for row, v in enumerate(cells):
        if v is not None:
            kinds.setdefault(kind_of(v), row)
            if len(kinds) > 2:
                break
    if not kinds:
        return pa.nulls(len(cells))
    if set(kinds) == {"int", "float"}:
        kind = "number"
    elif len(kinds) > 1:
        (first, _), (second, row) = list(kinds.items())[:2]
        raise InvalidError(
            f"write {table}: column {name!r} has values of different types: {first}, and {second} in row {row} ({nested.shown(cells[row])})",
            hint="make them of one type, as with .astype(str)",
            table=table,
            column=name,
            row=row,
        )
    else:
        (kind,) = kinds
    if kind == "list or dict":
        return nested.json_array(name, cells, table, [] if notes is None else notes)
    try:
        return _ARRAYS[kind](name, cells, table) if kind in _ARRAYS else _unknown(name, cells, table, kinds[kind])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError, ValueError) as e:
        if isinstance(e, InvalidError):
            raise
        row = _first_bad(kind, name, cells, table)
        raise InvalidError(
            f"write {table}: column {name!r}, row {row}: {nested.shown(cells[row])} cannot be stored as {kind}: {e}",
            table=table,
            column=name,
            row=row,
        ) from None


def is_missing(v: Any) -> bool:
    """Tells whether a value stands for NULL: None, NaN, NaT, pandas' NA."""
    if v is None:
        return True
    if isinstance(v, float):
        return math.isnan(v)
    kind = type(v)
    if kind.__name__ in {"NAType", "NaTType"} and kind.__module__.startswith("pandas"):
        return True
    if kind.__module__ == "numpy" and kind.__name__ in {"float16", "float32", "longdouble", "datetime64", "timedelta64"}:
        return bool(v != v)  # noqa: PLR0124 - so are NaN and NaT
    return isinstance(v, Decimal) and v.is_nan()


def kind_of(v: Any) -> str:
    """Returns the name of the kind of a value; that of its type when it is none of those that SQL has."""
    t = type(v)
    if (kind := _KINDS.get(t)) is not None:
        return kind
    if isinstance(v, dt.time):
        return "time with a time zone" if v.tzinfo is not None else "time"
    if isinstance(v, dt.datetime):
        return "datetime with a time zone" if v.tzinfo is not None else "datetime"
    for base, kind in _BASES:
        if isinstance(v, base):
            return kind
    if t.__module__ == "numpy":
        n = t.__name__.rstrip("_")
        if n == "ndarray":
            return "list or dict"
        for prefix, kind in (
            ("bool", "bool"),
            ("int", "int"),
            ("uint", "int"),
            ("float", "float"),
            ("str", "str"),
            ("bytes", "bytes"),
        ):
            if n.startswith(prefix):
                return kind
        if n == "datetime64":
            return "datetime"
        if n == "timedelta64":
            return "timedelta"
    if isinstance(v, nested.CONTAINERS):
        return "list or dict"
    return t.__name__


_KINDS: dict[type, str] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    bytes: "bytes",
    bytearray: "bytes",
    memoryview: "bytes",
    Decimal: "Decimal",
    dt.date: "date",
    dt.timedelta: "timedelta",
    list: "list or dict",
    tuple: "list or dict",
    dict: "list or dict",
    set: "list or dict",
    frozenset: "list or dict",
    uuid.UUID: "UUID",
}
_BASES: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (str, "str"),
    (int, "int"),
    (float, "float"),
    (dt.date, "date"),
    (Decimal, "Decimal"),
    (dt.timedelta, "timedelta"),
)


def _int(name: str, cells: list[Any], table: str) -> pa.Array:
    import pyarrow as pa

    present = [int(v) for v in cells if v is not None]
    low, high = min(present), max(present)
    if low >= -(1 << 63) and high < 1 << 63:
        return pa.array(cells, pa.int64())
    if low >= 0 and high < 1 << 64:
        return pa.array(cells, pa.uint64())
    digits = len(str(max(abs(low), abs(high))))
    if digits > 65:
        row = next(i for i, v in enumerate(cells) if v is not None and len(str(abs(v))) == digits)
        raise InvalidError(
            f"write {table}: column {name!r}, row {row}: an integer of {digits} digits is more than the 65 of DECIMAL",
            table=table,
            column=name,
            row=row,
        )
    kind = pa.decimal128(digits, 0) if digits <= 38 else pa.decimal256(digits, 0)
    return pa.array([None if v is None else Decimal(int(v)) for v in cells], kind)


def _number(name: str, cells: list[Any], table: str) -> pa.Array:
    import pyarrow as pa

    for row, v in enumerate(cells):
        if v is not None and kind_of(v) == "int" and abs(int(v)) > EXACT and int(float(v)) != int(v):
            raise InvalidError(
                f"write {table}: column {name!r} has floats and, in row {row}, the integer {v}, which a float does not hold",
                hint="make them of one type",
                table=table,
                column=name,
                row=row,
            )
    return pa.array([None if v is None else float(v) for v in cells], pa.float64())


def _decimal(name: str, cells: list[Any], table: str) -> pa.Array:
    import pyarrow as pa

    whole = scale = 0
    for row, v in enumerate(cells):
        if v is None:
            continue
        if not v.is_finite():
            raise InvalidError(
                f"write {table}: column {name!r}, row {row}: {v} is not a number that DECIMAL holds",
                table=table,
                column=name,
                row=row,
            )
        _, digits, exponent = v.as_tuple()
        scale = max(scale, -int(exponent))
        whole = max(whole, len(digits) + int(exponent))
    digits = max(whole, 0) + scale
    if digits > 65 or scale > 30:
        raise InvalidError(
            f"write {table}: column {name!r} needs DECIMAL({digits},{scale}); there are at most 65 digits, 30 of them behind the point",
            table=table,
            column=name,
        )
    digits = max(digits, 1)
    return pa.array(cells, pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale))


def _uuid(_name: str, cells: list[Any], _table: str) -> pa.Array:
    import pyarrow as pa

    storage = pa.array([None if v is None else v.bytes for v in cells], pa.binary(16))
    return pa.ExtensionArray.from_storage(pa.uuid(), storage)


def _zoned(_name: str, cells: list[Any], _table: str) -> pa.Array:
    import pyarrow as pa

    unit = "ns" if any(getattr(v, "nanosecond", 0) for v in cells) else "us"
    return pa.array([None if v is None else v.astimezone(dt.UTC) for v in cells], pa.timestamp(unit, "UTC"))


def _zoned_time(name: str, cells: list[Any], table: str) -> pa.Array:
    row = next(i for i, v in enumerate(cells) if v is not None)
    raise InvalidError(
        f"write {table}: column {name!r}, row {row}: {nested.shown(cells[row])} has a time zone, which a time of day has not in SQL",
        hint="leave it out: .replace(tzinfo=None)",
        table=table,
        column=name,
        row=row,
    )


def _of_numpy(v: Any) -> Any:
    """Returns a moment or a span of numpy as that of Python."""
    if type(v).__module__ != "numpy":
        return v
    plain = v.astype(v.dtype.str[1:2] + "8[us]")
    if plain != v:
        raise ValueError("it is not of whole microseconds, and nothing finer is kept")
    out = plain.item()
    if not isinstance(out, (dt.datetime, dt.timedelta)):
        raise OverflowError("it is out of range")
    return out


def _typed(make: str) -> Any:
    def array(_name: str, cells: list[Any], _table: str) -> pa.Array:
        import pyarrow as pa

        kind = {
            "str": pa.large_utf8(),
            "bytes": pa.large_binary(),
            "bool": pa.bool_(),
            "float": pa.float64(),
            "date": pa.date32(),
            "datetime": pa.timestamp("us"),
            "time": pa.time64("us"),
            "timedelta": pa.duration("us"),
        }[make]
        if make == "bytes":
            return pa.array([None if v is None else bytes(v) for v in cells], kind)
        if make == "timedelta" and any(getattr(v, "nanoseconds", 0) for v in cells):
            return pa.array(cells, pa.duration("ns"))
        if make == "datetime" and any(getattr(v, "nanosecond", 0) for v in cells):
            return pa.array(cells, pa.timestamp("ns"))
        if make in {"datetime", "timedelta"}:
            return pa.array([_of_numpy(v) for v in cells], kind)
        return pa.array(cells, kind)

    return array


_ARRAYS: dict[str, Any] = {
    "int": _int,
    "number": _number,
    "Decimal": _decimal,
    "UUID": _uuid,
    "datetime with a time zone": _zoned,
    "time with a time zone": _zoned_time,
    **{k: _typed(k) for k in ("str", "bytes", "bool", "float", "date", "datetime", "time", "timedelta")},
}


def _unknown(name: str, cells: list[Any], table: str, row: int) -> pa.Array:
    raise InvalidError(
        f"write {table}: column {name!r}, row {row}: {type(cells[row]).__name__} has no SQL type ({nested.shown(cells[row])})",
        hint="convert it first, as with .astype(str)",
        table=table,
        column=name,
        row=row,
    )


def _first_bad(kind: str, name: str, cells: list[Any], table: str) -> int:
    """Returns the first row that cannot be converted by itself; 0 when each can."""
    for row, v in enumerate(cells):
        try:
            _ARRAYS[kind](name, [v], table) if v is not None else None
        except Exception:
            return row
    return 0
