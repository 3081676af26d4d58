"""What verbs answer: rows for programs, lines for people."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from stemma._errors import InvalidError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Row:
    """A row of a result. Its attributes are the columns."""

    __slots__ = ()


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Result(Sequence[R], Generic[R]):
    """The answer of a verb: a sequence of its rows.

    Attributes:
        op: the verb.
        columns: the names of the columns.
        rows: the rows; one attribute a column.
        lines: what the command prints, a line each.
        hints: advice beside the answer.
        detail: a structured answer that does not fit rows; None for most verbs.
        exit_code: what the command would exit with: 1 for "they differ", 4 for a merge that left conflicts, else 0.
        parts: further answers, such as one a table for `diff`.
        drawn: whether the command draws the rows below the lines; otherwise the lines say all.

    """

    op: str
    columns: tuple[str, ...] = ()
    rows: tuple[R, ...] = ()
    lines: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    detail: Any = None
    exit_code: int = 0
    parts: tuple[Result[Row], ...] = field(default=())
    drawn: bool = False

    @overload
    def __getitem__(self, index: int) -> R: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[R]: ...
    def __getitem__(self, index: int | slice) -> R | Sequence[R]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[R]:
        return iter(self.rows)

    def __bool__(self) -> bool:
        return True

    def one(self) -> R:
        """Returns the only row; raises InvalidError when there is none or there are several."""
        if len(self.rows) != 1:
            raise InvalidError(f"{self.op} answered with {len(self.rows)} rows, not with one")
        return self.rows[0]

    def tuples(self) -> list[tuple[Any, ...]]:
        """Returns the rows as tuples."""
        return [_cells(r) for r in self.rows]

    def to_arrow(self) -> pa.Table:
        """Returns the rows as an Arrow table; those of the only part of an answer that has its rows in parts, such as that of diff."""
        import pyarrow as pa

        from stemma._objects import object_array

        if self.parts and not self.columns:
            if len(self.parts) > 1:
                raise InvalidError(
                    f"{self.op} answered with {len(self.parts)} tables, which are no single frame", hint="take one of its .parts"
                )
            return self.parts[0].to_arrow()
        rows = self.tuples()
        return pa.table([object_array(c, [r[i] for r in rows], self.op) for i, c in enumerate(self.columns)], names=self.columns)

    def to_pandas(self) -> pd.DataFrame:
        """Returns the rows as a pandas frame, with the types that read_pandas gives; which rows are those of to_arrow."""
        from stemma._pandas import from_arrow

        return from_arrow(self.to_arrow())

    def __str__(self) -> str:
        rows = table_text(self.columns, self.tuples()) if self.drawn and self.rows else ()
        return "\n".join([*self.lines, *rows, *(str(p) for p in self.parts)])

    def _repr_html_(self) -> str:
        out = []
        if self.rows:
            out.append(table_html(self.columns, self.tuples()))
        elif self.lines:
            out.append(f"<pre>{html.escape(chr(10).join(self.lines))}</pre>")
        out.extend(p._repr_html_() for p in self.parts)
        return "".join(out) or f"<pre>{html.escape(self.op)}: done</pre>"


def table_text(columns: Sequence[str], rows: Sequence[Sequence[Any]], limit: int = 50) -> list[str]:
    """Returns rows as lines of a table, at most limit of them, and says how many were left out."""
    cells = [["NULL" if v is None else str(v).replace("\n", "\\n") for v in r] for r in rows[:limit]]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    rule = f"+{'+'.join('-' * (w + 2) for w in widths)}+"

    def line(values: Sequence[str]) -> str:
        return f"|{'|'.join(f' {v:<{w}} ' for v, w in zip(values, widths, strict=True))}|"

    more = [f"{len(rows) - limit} more rows"] if len(rows) > limit else []
    return [rule, line(columns), rule, *map(line, cells), rule, *more]


def table_html(columns: Sequence[str], rows: Sequence[Sequence[Any]], limit: int = 50) -> str:
    """Returns rows as a table of HTML, at most limit of them, and says how many were left out."""

    def cell(v: Any) -> str:
        return "<td><i>NULL</i></td>" if v is None else f"<td>{html.escape(str(v))}</td>"

    head = "".join(f"<th>{html.escape(c)}</th>" for c in columns)
    body = "".join(f"<tr>{''.join(map(cell, r))}</tr>" for r in rows[:limit])
    more = f"<p>{len(rows) - limit} more rows</p>" if len(rows) > limit else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def parse(op: str, row: type[R], wire: dict[str, Any], *, part: bool = False) -> Result[R]:
    """Returns the result that a server wrote as JSON. Rows have the class given if they have its columns, else one made of theirs."""
    columns = wire.get("columns") or []
    names = tuple(str(c["name"]) for c in columns)
    declared: dict[str, Any] = {f.name: f.type for f in dataclasses.fields(row)} if dataclasses.is_dataclass(row) else {}
    ids = tuple(identifier(n) for n in names)
    made = row if declared and tuple(declared) == ids else dynamic(ids)
    readers = [_reader(str(c["type"]), str(declared.get(i, "")), utc=bool(c.get("utc"))) for i, c in zip(ids, columns, strict=True)]
    return Result(
        op,
        names,
        tuple(
            made(*(None if v is None else r(v) for r, v in zip(readers, cells, strict=True))) for cells in wire.get("rows") or []
        ),
        tuple(wire.get("lines") or ()),
        tuple(wire.get("hints") or ()),
        wire.get("detail"),
        int(wire.get("exit_code") or 0),
        tuple(parse(op, Row, p, part=True) for p in wire.get("parts") or []),
        part or wire.get("lines") is None,
    )


def identifier(name: str) -> str:
    """Returns a column's name as the name of an attribute, as the generated classes have it."""
    import keyword

    n = "".join(c if c.isalnum() else "_" for c in name.lower()) or "_"
    n = n if n[0].isalpha() or n[0] == "_" else f"_{n}"
    return f"{n}_" if keyword.iskeyword(n) else n


@lru_cache
def dynamic(names: tuple[str, ...]) -> type[Any]:
    """Returns a class of rows with these attributes; one that is there twice gets a number."""
    seen: dict[str, int] = {}
    fields = []
    for n in names:
        seen[n] = seen.get(n, 0) + 1
        fields.append((n if seen[n] == 1 else f"{n}_{seen[n]}", Any))
    return dataclasses.make_dataclass("Row", fields, bases=(Row,), frozen=True, slots=True)


def _cells(row: Row) -> tuple[Any, ...]:
    return tuple(getattr(row, f.name) for f in dataclasses.fields(row))  # type: ignore[arg-type]


def _reader(sql: str, declared: str, *, utc: bool) -> Any:
    """Returns the function that makes a Python value of a cell of JSON. Times are moments in UTC, or those of a DATETIME, which has no zone."""
    kind = sql.split("(", maxsplit=1)[0].split(" ", maxsplit=1)[0].lower()
    if declared == "bool":
        return bool
    if kind in {"datetime", "timestamp"}:
        return _moment if utc or kind == "timestamp" or "datetime" in declared else _without_zone
    if kind == "date":
        return _date
    if kind == "time":
        return _span
    if kind in {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "geometry", "vector"}:
        return base64.b64decode
    if kind in {"float", "double"}:
        return float
    if kind == "decimal":
        from decimal import Decimal

        return Decimal
    if kind == "json":
        return lambda v: json.loads(v) if isinstance(v, str) else v
    return lambda v: v


def _moment(text: str) -> Any:
    try:
        m = datetime.fromisoformat(text)
    except ValueError:
        return _no_moment(text)
    return m.replace(tzinfo=UTC) if m.tzinfo is None else m


def _without_zone(text: str) -> Any:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return _no_moment(text)


def _no_moment(text: str) -> str:
    return text.removesuffix("Z").replace("T", " ")  # 0000-00-00 00:00:00 and its like are no moments of Python's


def _date(text: str) -> Any:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return text  # 0000-00-00 and its like are no dates of Python's


def _span(text: str) -> timedelta:
    hours, minutes, seconds = text.lstrip("-").split(":")
    whole, _, fraction = seconds.partition(".")
    span = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(whole), microseconds=int(fraction.ljust(6, "0")))
    return -span if text.startswith("-") else span
