"""Reading and writing tables, as a database and a transaction have it."""

from __future__ import annotations

import dataclasses
import json
import operator
import re
import uuid
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from stemma import _statements
from stemma._answers import Resolved, WriteResult
from stemma._errors import InvalidError, NotFoundError
from stemma._progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from stemma._answers import Settings
    from stemma._errors import StemmaError
    from stemma._pandas import Backend
    from stemma._read import Frame
    from stemma._transport import memory
    from stemma._transport.client import Client

Mode = Literal["create", "append", "create_append", "replace", "replace_rows", "upsert", "merge"]
MODES: tuple[str, ...] = ("create", "append", "create_append", "replace", "replace_rows", "upsert", "merge")

_MARKS = re.compile(r"%s|%\(\w+\)s|(?<![\w:]):\w+|\$\d+")
_READS = re.compile(r"\s*(select|show|with|explain|describe|desc|table|values)\b", re.IGNORECASE)
_CHANGES = re.compile(r"\b(dolt|stemma)_\w+\s*\(|\b(insert|update|delete|into)\b", re.IGNORECASE)

T = TypeVar("T")


class Reads:
    """Reading and writing, as a database and a transaction have them."""

    _client: Client
    _settings: Settings

    def _headers(self) -> dict[str, str]:
        return self._settings.headers()

    # --- reading

    def read_pandas(
        self,
        table: str,
        ref: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        dtype_backend: Backend | None = None,
    ) -> pd.DataFrame:
        """Returns a table as a frame of pandas.

        Args:
            table: the table; also `table@ref` and `database:table@ref`, as in a configuration of training data.
            ref: a branch, tag, commit, prefix of a commit, `HEAD~2` or time; None is the working set.
            columns: these columns only, in this order.
            where: a condition in SQL; rows for which it does not hold are left out.
            dtype_backend: as pandas has it; None gives numpy's types and, where there are NULLs, pandas' nullable ones.

        """
        from stemma import _pandas, _read

        _read.check("pandas")
        text: memory.Text | None = None if dtype_backend == "pyarrow" else "large_utf8"
        with _read.importing("pandas"):
            data = self._read(table, ref, columns, where, text, writable=True)
        return _pandas.from_arrow(data, dtype_backend)

    def read_polars(
        self, table: str, ref: str | None = None, *, columns: Sequence[str] | None = None, where: str | None = None
    ) -> pl.DataFrame:
        """Returns a table as a frame of Polars; arguments are those of read_pandas."""
        from stemma import _read

        _read.check("polars")
        with _read.importing("polars"):
            data = self._read(table, ref, columns, where, "utf8_view")
        return _read.to_polars(data)

    def read_arrow(
        self, table: str, ref: str | None = None, *, columns: Sequence[str] | None = None, where: str | None = None
    ) -> pa.Table:
        """Returns a table as an Arrow table; arguments are those of read_pandas."""
        return self._read(table, ref, columns, where)

    def _read(
        self,
        table: str,
        ref: str | None,
        columns: Sequence[str] | None,
        where: str | None,
        text: memory.Text | None = None,
        *,
        writable: bool = False,
    ) -> pa.Table:
        """Returns a table as an Arrow table; text and writable are those of Client.table."""
        names = _columns(columns)
        with progress(f"read {table}", -1) as p:

            def begin(schema: pa.Schema) -> Callable[[int], None]:
                p.total = int((schema.metadata or {}).get(b"stemma.rows", -1)) if where is None else -1
                return p.add

            return self._noted(
                table,
                ref,
                lambda on, t, r: on._client.table(
                    on._ticket(t, r, names, where), on._headers(), begin=begin, text=text, writable=writable
                ),
            )

    def scan(
        self,
        table: str,
        ref: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        rows: tuple[int, int] | None = None,
        batch_rows: int | None = None,
    ) -> pa.RecordBatchReader:
        """Returns a table as a reader of record batches, which come while they are read.

        Args:
            table: the table.
            ref: as for read_pandas.
            columns: these columns only, in this order.
            where: a condition in SQL.
            rows: only rows from the first number up to before the second, counted from 0 in the order of the key.
            batch_rows: at most so many rows a batch.

        """
        names = _columns(columns)
        return self._noted(
            table,
            ref,
            lambda on, t, r: on._client.get(
                on._ticket(t, r, names, where, rows=rows, batch_rows=batch_rows), on._headers(), safe=True
            ),
        )

    def _noted(self, table: str, ref: str | None, read: Callable[[Any, str, str | None], T]) -> T:
        """Returns what read reads. A table that is not there may be `table@ref` or `database:table@ref`."""
        try:
            return read(self, table, ref)
        except NotFoundError as e:
            if e.table != table or not {"@", ":"} & set(table):
                raise
        rest, at, noted = table.rpartition("@") if "@" in table else (table, "", "")
        database, colon, name = rest.partition(":") if ":" in rest else ("", "", rest)
        if not name.strip() or (at and not noted.strip()) or (colon and not database.strip()):
            raise InvalidError(f"{table!r} is neither a table nor table@ref nor database:table@ref", table=table)
        if at and ref is not None:
            raise InvalidError(f"{table!r} names a ref, and {ref!r} another", hint="give one of them", table=table, ref=ref)
        on = self._in(database.strip()) if database else self
        return read(on, name.strip(), noted.strip() if at else ref)

    def _in(self, database: str) -> Reads:
        """Returns the same for another database."""
        raise InvalidError(f"a transaction is of one database, which is not {database}", hint="read it without the transaction")

    def _ticket(
        self,
        table: str,
        ref: str | None,
        columns: list[str] | None,
        where: str | None,
        *,
        rows: tuple[int, int] | None = None,
        batch_rows: int | None = None,
    ) -> dict[str, Any]:
        """Returns the ticket of a read; arguments are those of scan."""
        if not isinstance(table, str) or not table:
            raise InvalidError(f"the name of a table is text, not {table!r}")
        check_ref(ref)
        if where is not None and not isinstance(where, str):
            raise InvalidError(
                f"where is a condition in SQL, not {where!r}", hint="as in where=\"price > 100 and country = 'DE'\"", table=table
            )
        ends = None if rows is None else [whole(n, 0) for n in rows] if isinstance(rows, (tuple, list)) else []
        if ends is not None and (len(ends) != 2 or None in ends):
            raise InvalidError(
                f"rows is a pair of numbers from 0, not {rows!r}", hint="rows=(0, 1000) are the first 1000", table=table
            )
        size = None if batch_rows is None else whole(batch_rows, 1)
        if size is None and batch_rows is not None:
            raise InvalidError(f"batch_rows is a number from 1, not {batch_rows!r}", table=table)
        if table.lower().startswith(("dolt_", "stemma_")) and rows is None:
            # Tables of the system have no pages: they are queries.
            return _query(_statements.select(table, columns, where), ref, None)
        read: dict[str, Any] = {
            "table": table,
            "ref": ref,
            "columns": columns,
            "filter": where,
            "range": None if ends is None else {"from": ends[0], "to": ends[1]},
            "batch_rows": size,
        }
        return {"read": {k: v for k, v in read.items() if v is not None}}

    @overload
    def sql(
        self, query: str, *, ref: str | None = None, params: Sequence[Any] | None = None, frame: Literal["pandas"] = "pandas"
    ) -> pd.DataFrame: ...
    @overload
    def sql(
        self, query: str, *, ref: str | None = None, params: Sequence[Any] | None = None, frame: Literal["polars"]
    ) -> pl.DataFrame: ...
    @overload
    def sql(
        self, query: str, *, ref: str | None = None, params: Sequence[Any] | None = None, frame: Literal["arrow"]
    ) -> pa.Table: ...
    def sql(self, query: str, *, ref: str | None = None, params: Sequence[Any] | None = None, frame: Frame = "pandas") -> Any:
        """Runs a statement of SQL and returns its rows.

        Args:
            query: the statement; `?` stands for a parameter.
            ref: what all tables of the query are read as of; a statement that writes is refused then.
            params: the values of the parameters.
            frame: what the rows are returned as.

        """
        from stemma import _read

        _read.check(frame)
        return _read.convert(self.query(query, ref=ref, params=params).read_all(), frame)

    def query(self, query: str, *, ref: str | None = None, params: Sequence[Any] | None = None) -> pa.RecordBatchReader:
        """Runs a statement of SQL and returns its rows as a reader of record batches; arguments are those of sql."""
        if not isinstance(query, str):
            raise InvalidError(f"a statement of SQL is text, not {query!r}")
        check_ref(ref)
        if isinstance(params, (str, bytes)) or hasattr(params, "keys") or not (params is None or hasattr(params, "__iter__")):
            raise InvalidError(
                f"params is a list of values, one for each ? of the statement, not {type(params).__name__}",
                hint="as in params=[1, 'a']",
            )
        try:
            return self._client.get(_query(query, ref, params), self._headers(), safe=_repeatable(query, ref))
        except InvalidError as e:
            if params and e.hint is None and (odd := _MARKS.search(query)):
                e.hint = f"a parameter stands as ?, not as {odd[0]}"
            raise

    def resolve(self, ref: str = "HEAD", table: str | None = None) -> Resolved:
        """Returns what a ref names, and the hashes of a table at it."""
        found = self._client.action("stemma.resolve", {"ref": ref, "table": table}, self._headers(), safe=True)
        names = {f.name for f in dataclasses.fields(Resolved)}
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items() if k in names}
        return Resolved(**{**known, "ref": ref})

    # --- writing

    def write(
        self,
        data: Any,
        table: str,
        *,
        mode: Mode = "merge",
        primary_key: Sequence[str] | str | None = None,
        message: str | None = None,
        write_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> WriteResult:
        """Writes a frame to a table: all of it, or nothing.

        Named levels of a frame's index are columns; an index without a name that only counts the rows is not.

        Args:
            data: a frame of pandas or Polars, an Arrow table or reader, anything with `__arrow_c_stream__`, a list of dicts, a dict of lists.
            table: the table.
            mode: `merge` makes the table equal to the frame by its key: it deletes rows that the frame does not have. `upsert` deletes none.
                `append` adds rows. `replace` takes rows and schema anew, `replace_rows` keeps the schema. `create` wants no such table,
                `create_append` makes it or appends. `merge`, `upsert`, `append` write only what differs.
            primary_key: the columns of the key of a new table; `merge` and `upsert` need one.
            message: commits the table with this message; without it the changes are left uncommitted.
            write_id: a name for this write; a second write with the same one does nothing and answers as the first.
            metadata: kept with the commit.

        """
        from stemma._frames import source, untyped_notes

        if mode not in MODES:
            raise InvalidError(f"write {table}: there is no mode {mode!r}", hint=f"there are {', '.join(MODES)}", table=table)
        if not isinstance(table, str) or not table:
            raise InvalidError(f"the name of a table is text, not {table!r}")
        if "@" in table:
            name, _, branch = table.partition("@")
            raise InvalidError(
                f"write {table}: a write goes to a branch, not to a ref",
                hint=f"write(…, {name!r}) of connect(…, branch={branch!r}), or at(branch={branch!r})",
                table=table,
            )
        src = source(data, table)
        key = _names(primary_key, f"write {table}: primary_key")
        for name, text in (("message", message), ("write_id", write_id)):
            if text is not None and not isinstance(text, str):
                raise InvalidError(f"write {table}: {name} is text, not {text!r}", table=table)
        have = {n.lower() for n in src.schema.names}
        for k in key or ():
            if k.lower() not in have:
                raise InvalidError(
                    f"write {table}: the frame has no column {k!r} for the primary key",
                    hint=f"it has {', '.join(src.schema.names)}",
                    table=table,
                    column=k,
                )
        check_metadata(metadata, f"write {table}")
        command = {
            "table": table,
            "mode": mode,
            "primary_key": key,
            "message": message,
            "write_id": write_id or f"py-{uuid.uuid4().hex}",
            "metadata": None if metadata is None else dict(metadata),
        }
        with progress(f"write {table}", src.rows if src.rows is not None else -1) as p:
            try:
                done = self._client.put(
                    {"write": {k: v for k, v in command.items() if v is not None}},
                    src.open,
                    self._headers(),
                    safe=src.repeatable and self._settings.transaction is None,
                    progress=p.add,
                )
            except (InvalidError, NotFoundError) as e:
                if e.hint is None and e.table == table:
                    e.hint = _advice(e, mode)
                raise
        anew = bool(done.get("created")) or mode == "replace"
        return WriteResult(
            table=done.get("table") or table,
            database=done.get("database") or "",
            branch=done.get("branch") or "",
            **{k: int(done.get(k) or 0) for k in ("rows", "inserted", "updated", "deleted", "unchanged")},
            created=bool(done.get("created")),
            commit=done.get("commit"),
            already=bool(done.get("already")),
            notes=(*src.notes, *(untyped_notes(src.schema) if anew else ()), *map(str, done.get("notes") or ())),
            in_transaction=self._settings.transaction is not None,
        )


def _advice(e: StemmaError, mode: str) -> str | None:
    """Returns what to do about a table that is not there yet, or has no key."""
    if "needs a primary key: name its columns" in e.message:
        return "as in primary_key='id'; mode='create' makes a table without one"
    if isinstance(e, NotFoundError) and e.column is None and not e.did_you_mean and mode in {"append", "replace_rows"}:
        return f"mode={'create_append' if mode == 'append' else 'replace'!r} makes it"
    return None


def _columns(given: Any) -> list[str] | None:
    """Returns the names of columns to read, which anything that can be gone through once may give, as a list; None for all."""
    if given is None:
        return None
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise InvalidError(
            f"columns is a list of names, not {given!r}", hint=f"columns=[{given!r}]" if isinstance(given, str) else None
        )
    names = list(given)
    for c in names:
        if not isinstance(c, str):
            raise InvalidError(f"the name of a column is text, not {c!r}")
    return names


def _names(given: Any, what: str) -> list[str] | None:
    """Returns names that may be given as one text, as a list; None for none."""
    if given is None:
        return None
    names = [given] if isinstance(given, str) else list(given) if hasattr(given, "__iter__") else [given]
    for n in names:
        if not isinstance(n, str):
            raise InvalidError(f"{what} is a name of a column, or a list of such, not {n!r}")
    return names


def whole(given: Any, least: int) -> int | None:
    """Returns a whole number from least on, NumPy's too; None for anything else."""
    try:
        n = operator.index(given)
    except TypeError:
        return None
    return n if n >= least else None


def check_metadata(metadata: Mapping[str, Any] | None, what: str) -> None:
    """Refuses metadata of a commit that JSON cannot hold."""
    try:
        json.dumps(None if metadata is None else dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as e:
        raise InvalidError(f"{what}: the metadata cannot be written as JSON: {e}") from None


def check_ref(ref: Any) -> None:
    """Refuses a ref that is no text: numbers, and the empty text of a setting that was not set."""
    if ref is not None and not isinstance(ref, str):
        hint = None
        if isinstance(ref, (int, float)):
            hint = "YAML reads some hashes as numbers: put them in quotes"
        elif hasattr(ref, "isoformat"):
            hint = f"a time is one, too, in UTC unless it names a zone: {ref.isoformat()!r}"
        raise InvalidError(f"a ref is text, not {ref!r}", hint=hint)
    if ref is not None and not ref.strip():
        raise InvalidError("the ref is empty", hint="give a branch, tag, commit or time; None is the working set")


def _query(query: str, ref: str | None, params: Sequence[Any] | None) -> dict[str, Any]:
    """Returns the ticket of a statement."""
    ticket = {"sql": query, "ref": ref, "parameters": None if params is None else [_parameter(p) for p in params]}
    return {"query": {k: v for k, v in ticket.items() if v is not None}}


def _repeatable(query: str, ref: str | None) -> bool:
    """Tells whether running a statement twice is as running it once."""
    return ref is not None or (bool(_READS.match(query)) and not _CHANGES.search(query))


def _parameter(v: Any) -> Any:
    """Returns the value of a parameter of SQL as JSON has it."""
    import datetime as dt
    from decimal import Decimal

    if v is None or isinstance(v, (bool, int, float, str)):
        return v
    if isinstance(v, dt.datetime):
        return v.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ") if v.tzinfo else v.isoformat(" ")
    if isinstance(v, (dt.date, dt.time)):
        return v.isoformat()
    if isinstance(v, (Decimal, uuid.UUID)):
        return str(v)
    if isinstance(v, (list, dict)):
        return json.dumps(v)
    if hasattr(v, "item"):
        return _parameter(v.item())
    raise InvalidError(f"a parameter of SQL cannot be {type(v).__name__}", hint="numbers, text, times, Decimal and None can")
