"""Lists, dicts and structs within a column, which become JSON: what that keeps, and what it does not."""

from __future__ import annotations

import datetime as dt
import json
import math
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from stemma._errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

CONTAINERS = (list, tuple, dict, set, frozenset)
"""The types of Python that are stored as JSON."""


def json_array(name: str, cells: Sequence[Any], table: str, notes: list[str]) -> pa.Array:
    """Returns lists and dicts as an array of JSON. What would be lost is refused; what is stored otherwise becomes a note."""
    import pyarrow as pa

    texts: set[str] = set()
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=lambda v: _plain(v, texts))
    out: list[str | None] = []
    for row, v in enumerate(cells):
        if v is None:
            out.append(None)
            continue
        try:
            _check_keys(v, texts)
            text = encoder.encode(v)
            text.encode()
        except (TypeError, ValueError, RecursionError) as e:
            bad = _not_finite(v)
            why = f"JSON has no {bad}" if bad else e
            raise InvalidError(
                f"write {table}: column {name!r}, row {row}: {shown(v)} cannot be stored as JSON: {why}",
                hint="put None in its place" if bad else None,
                table=table,
                column=name,
                row=row,
            ) from None
        out.append(text)
    if sets := texts & {"sets"}:
        notes.append(f"column {name}: sets are stored as sorted lists")
    if texts - sets:
        notes.append(f"column {name}: {_listed(texts - sets)} in lists and dicts are stored as text")
    return pa.ExtensionArray.from_storage(pa.json_(pa.large_utf8()), pa.array(out, pa.large_utf8()))


def nested_notes(schema: pa.Schema) -> list[str]:
    """Returns what is stored as text in the lists, structs and maps of a schema, which are stored as JSON."""
    out = []
    for f in schema:
        texts: set[str] = set()
        _leaves(f.type, texts, within=False)
        if texts:
            out.append(f"column {f.name}: {_listed(texts)} in lists and structs are stored as text")
    return out


def shown(v: Any) -> str:
    """Returns a value as messages have it."""
    text = repr(v)
    return text if len(text) <= 60 else text[:57] + "…"


def _leaves(t: pa.DataType, texts: set[str], *, within: bool) -> None:
    import pyarrow as pa

    if pa.types.is_nested(t):
        for i in range(t.num_fields):
            _leaves(t.field(i).type, texts, within=True)
    elif within:
        if isinstance(t, pa.BaseExtensionType):
            if t.extension_name == "arrow.uuid":
                texts.add("UUIDs")
                return
            t = t.storage_type
        if pa.types.is_decimal(t):
            texts.add("decimals")
        elif pa.types.is_temporal(t):
            texts.add("dates and times")
        elif pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_fixed_size_binary(t):
            texts.add("bytes (in base64)")


def _listed(words: set[str]) -> str:
    *most, last = sorted(words)
    return f"{', '.join(most)} and {last}" if most else last


def _check_keys(v: Any, texts: set[str]) -> None:
    """Refuses dicts whose keys are not apart, or not what they are, as texts; json.dumps takes most of them."""
    if hasattr(v, "tolist"):
        v = v.tolist() if v.dtype == object else ()
        if not isinstance(v, CONTAINERS):
            return
    if isinstance(v, dict):
        for k in v:
            if type(k) is int:
                texts.add("keys that are numbers")
                if str(k) in v:
                    raise ValueError(f"the keys {k} and '{k}' are one in JSON")
            elif not isinstance(k, str):
                raise TypeError(f"a key is text, not {type(k).__name__}")
        v = v.values()
    for x in v:
        if isinstance(x, CONTAINERS) or hasattr(x, "tolist"):
            _check_keys(x, texts)


def _plain(v: Any, texts: set[str]) -> Any:
    """Returns what JSON has for a value that it has no type for."""
    kind = type(v)
    if kind.__name__ in {"NAType", "NaTType"} and kind.__module__.startswith("pandas"):
        return None
    if kind.__module__ == "numpy" and v.dtype.kind == "M":
        import numpy as np

        texts.add("dates and times")
        moments: Any = np.asarray(np.datetime_as_string(v), dtype=object)
        moments[np.isnat(v)] = None
        return moments.tolist()
    if kind.__module__ == "numpy" and v.dtype.kind == "m":
        raise TypeError("timedelta has no form in JSON")
    if hasattr(v, "tolist"):
        return v.tolist()
    if isinstance(v, (set, frozenset)):
        texts.add("sets")
        return sorted(v)
    if isinstance(v, (dt.date, dt.time)):
        texts.add("dates and times")
        return v.isoformat()
    if isinstance(v, Decimal):
        if not v.is_finite():
            raise ValueError(f"JSON has no {v}")
        texts.add("decimals")
        return str(v)
    if isinstance(v, uuid.UUID):
        texts.add("UUIDs")
        return str(v)
    raise TypeError(f"{kind.__name__} has no form in JSON")


def _not_finite(v: Any) -> float | None:
    """Returns the first NaN or infinity within a value."""
    if isinstance(v, float):
        return None if math.isfinite(v) else v
    if type(v).__module__ == "numpy" and hasattr(v, "tolist"):
        v = v.tolist()
        return _not_finite(v) if isinstance(v, (list, float)) else None
    if isinstance(v, dict):
        v = v.values()
    elif not isinstance(v, CONTAINERS):
        return None
    try:
        return next((bad for x in v if (bad := _not_finite(x)) is not None), None)
    except RecursionError:
        return None
