"""Arrow tables under each other, without losing a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stemma._errors import InvalidError
from stemma._pandas import is_json

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Part:
    """A table, and what messages and the source column call it."""

    name: str
    data: pa.Table


def concat(parts: list[Part], source: str | None) -> tuple[pa.Table, list[str]]:
    """Returns the parts under each other, and what their columns differ in.

    Columns are matched by name, without case, and stand in the order in which they come. With a source a first column of that name says which
    part a row is of.
    """
    import pyarrow as pa

    differences: list[str] = []
    names: dict[str, str] = {}
    for p in parts:
        for n in p.data.column_names:
            names.setdefault(n.lower(), n)
    if source is not None and source.lower() in names:
        raise InvalidError(
            f"the tables have a column {names[source.lower()]!r} of their own",
            hint="name the source column otherwise, as in source='item'",
        )
    fields, columns = [], []
    if source is not None:
        labels = pa.array([p.name for p in parts], pa.string())
        index = pa.chunked_array([pa.repeat(pa.scalar(i, pa.int32()), p.data.num_rows) for i, p in enumerate(parts)], pa.int32())
        column = pa.chunked_array(
            [pa.DictionaryArray.from_arrays(c, labels) for c in index.chunks], pa.dictionary(pa.int32(), pa.string())
        )
        fields.append(pa.field(source, column.type))
        columns.append(column)
    for low, name in names.items():
        field, column = _column(parts, low, name, differences)
        fields.append(field)
        columns.append(column)
    rows = sum(p.data.num_rows for p in parts)
    if not fields:
        return pa.table({"": pa.nulls(rows)}).select([]), differences
    return pa.Table.from_arrays(columns, schema=pa.schema(fields)), differences


def _column(parts: list[Part], low: str, name: str, differences: list[str]) -> tuple[Any, Any]:
    """Returns the field and the cells of a column of all parts."""
    import pyarrow as pa

    have: list[tuple[Part, Any]] = []
    lack = []
    for p in parts:
        at = [i for i, n in enumerate(p.data.column_names) if n.lower() == low]
        if at:
            have.append((p, p.data.schema.field(at[0])))
        else:
            lack.append(p.name)
    if lack:
        differences.append(f"column {name} is not in {', '.join(lack)}")
    kinds = {str(_plain(f)): p.name for p, f in reversed(have)}
    same = len(kinds) == 1
    if not same:
        differences.append(f"column {name} is {' and '.join(f'{k} in {n}' for k, n in sorted(kinds.items()))}")
    declared = {(f.metadata or {}).get(b"stemma.type") for _, f in have}
    first = have[0][1]
    dictionaries = sum(pa.types.is_dictionary(f.type) for _, f in have)
    if same and (not dictionaries or (dictionaries == len(have) and len(declared) == 1)):
        kind, metadata = first.type, first.metadata
    else:
        kind, metadata = _common(name, have), None
        if same and dictionaries == len(have):
            differences.append(f"column {name} has other ENUM values in {' and '.join(p.name for p, _ in have)}")
    if all(is_json(f) for _, f in have):
        metadata = first.metadata
    cells: list[Any] = []
    for p in parts:
        found = [c for c, n in zip(p.data.columns, p.data.column_names, strict=True) if n.lower() == low]
        cells.extend(_cast(found[0], kind, name, p.name).chunks if found else [pa.nulls(p.data.num_rows, kind)])
    column = pa.chunked_array(cells, kind)
    return pa.field(name, kind, metadata=metadata), column.unify_dictionaries() if pa.types.is_dictionary(kind) else column


def _plain(field: Any) -> Any:
    """Returns the type by which columns are compared: the values of a dictionary, the text of JSON."""
    import pyarrow as pa

    t = field.type
    if pa.types.is_dictionary(t):
        return t.value_type
    return t


def _cast(column: Any, kind: Any, name: str, part: str) -> Any:
    """Returns a column as the type, or raises InvalidError when a value would change."""
    import pyarrow as pa

    if column.type == kind:
        return column
    if pa.types.is_null(column.type):
        return pa.chunked_array([pa.nulls(len(column), kind)], kind)
    try:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        made = column.cast(kind)
        exact = not pa.types.is_floating(kind) or pa.types.is_floating(column.type) or made.cast(column.type).equals(column)
        why = "" if exact else "a value has no exact floating-point number"
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
        why = str(e)
    if why:
        raise InvalidError(
            f"column {name} of {part} cannot become {kind}: {why}", hint="choose columns in the configuration", column=name
        )
    return made


def _common(name: str, have: list[tuple[Part, Any]]) -> Any:
    """Returns a type that holds the values of all fields exactly."""
    kinds = [_plain(f) for _, f in have]
    out = kinds[0]
    for k, (p, _) in zip(kinds[1:], have[1:], strict=True):
        merged = _merge(out, k)
        if merged is None:
            raise InvalidError(
                f"column {name} is {out} in {have[0][0].name} and {k} in {p.name}: no type holds both",
                hint="choose columns in the configuration",
                column=name,
            )
        out = merged
    return out


def _merge(a: Any, b: Any) -> Any:
    """Returns the narrowest type that holds the values of both exactly; None when there is none."""
    import pyarrow as pa

    t = pa.types
    if a == b or t.is_null(b):
        return a
    if t.is_null(a):
        return b
    if _all(t.is_integer, a, b) or (_all(lambda k: t.is_integer(k) or t.is_boolean(k), a, b)):
        return _integers(pa.int8() if t.is_boolean(a) else a, pa.int8() if t.is_boolean(b) else b)
    if _all(lambda k: t.is_integer(k) or t.is_decimal(k), a, b):
        return _decimals(a, b)
    if _all(lambda k: t.is_integer(k) or t.is_floating(k) or t.is_boolean(k), a, b):
        return pa.float64()
    for is_kind, wide in (
        (lambda k: t.is_string(k) or t.is_large_string(k), pa.large_string()),
        (lambda k: t.is_binary(k) or t.is_large_binary(k) or t.is_fixed_size_binary(k), pa.large_binary()),
    ):
        if _all(is_kind, a, b):
            return wide
    if _all(t.is_timestamp, a, b) and a.tz == b.tz:
        units = ("s", "ms", "us", "ns")
        return pa.timestamp(units[max(units.index(a.unit), units.index(b.unit))], a.tz)
    return None


def _all(test: Any, *kinds: Any) -> bool:
    return all(test(k) for k in kinds)


def _integers(a: Any, b: Any) -> Any:
    """Returns the integer type of both, or DECIMAL when 64 bits are not enough."""
    import pyarrow as pa

    signed = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}
    if pa.types.is_unsigned_integer(a) == pa.types.is_unsigned_integer(b):
        return a if a.bit_width >= b.bit_width else b
    s, u = (b, a) if pa.types.is_unsigned_integer(a) else (a, b)
    return signed.get(max(s.bit_width, 2 * u.bit_width), pa.decimal128(20, 0))


def _decimals(a: Any, b: Any) -> Any:
    """Returns the DECIMAL of both; None when it would have more digits than Arrow has."""
    import pyarrow as pa

    def digits(k: Any) -> tuple[int, int]:
        if pa.types.is_integer(k):
            return {8: 3, 16: 5, 32: 10, 64: 20}[k.bit_width], 0
        return k.precision - k.scale, k.scale

    (wa, sa), (wb, sb) = digits(a), digits(b)
    whole, scale = max(wa, wb), max(sa, sb)
    if whole + scale > 76:
        return None
    return pa.decimal128(whole + scale, scale) if whole + scale <= 38 else pa.decimal256(whole + scale, scale)
