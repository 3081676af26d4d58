"""A database: reading, writing, its verbs."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from stemma import _address, _ops, _results, _statements
from stemma._answers import Resolved, Settings, WriteResult
from stemma._errors import InvalidError, NotFoundError, StemmaError, TooNewError, UnavailableError
from stemma._partition import Partition
from stemma._progress import progress
from stemma._transport.client import Client
from stemma._transport.http2 import LostError
from stemma._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from stemma._pandas import Backend
    from stemma._read import Frame
    from stemma._transport import memory

PROTOCOL = 1
"""The version of what client and server say to each other."""

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
        with progress(f"read {table}", -1) as p:

            def begin(schema: pa.Schema) -> Callable[[int], None]:
                p.total = int((schema.metadata or {}).get(b"stemma.rows", -1)) if where is None else -1
                return p.add

            return self._noted(
                table,
                ref,
                lambda on, t, r: on._client.table(
                    on._ticket(t, r, columns, where), on._headers(), begin=begin, text=text, writable=writable
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
        return self._noted(
            table,
            ref,
            lambda on, t, r: on._client.get(
                on._ticket(t, r, columns, where, rows=rows, batch_rows=batch_rows), on._headers(), safe=True
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
        columns: Sequence[str] | None,
        where: str | None,
        *,
        rows: tuple[int, int] | None = None,
        batch_rows: int | None = None,
    ) -> dict[str, Any]:
        """Returns the ticket of a read; arguments are those of scan."""
        if not isinstance(table, str) or not table:
            raise InvalidError(f"the name of a table is text, not {table!r}")
        _check_ref(ref)
        if isinstance(columns, str):
            raise InvalidError("columns is a list of names, not one name", hint=f"columns=[{columns!r}]")
        for c in columns or ():
            if not isinstance(c, str):
                raise InvalidError(f"the name of a column is text, not {c!r}", table=table)
        if where is not None and not isinstance(where, str):
            raise InvalidError(
                f"where is a condition in SQL, not {where!r}", hint="as in where=\"price > 100 and country = 'DE'\"", table=table
            )
        if rows is not None and not (len(rows) == 2 and all(isinstance(n, int) and n >= 0 for n in rows)):
            raise InvalidError(
                f"rows is a pair of numbers from 0, not {rows!r}", hint="rows=(0, 1000) are the first 1000", table=table
            )
        if batch_rows is not None and not (isinstance(batch_rows, int) and batch_rows > 0):
            raise InvalidError(f"batch_rows is a number from 1, not {batch_rows!r}", table=table)
        if table.lower().startswith(("dolt_", "stemma_")) and rows is None:
            # Tables of the system have no pages: they are queries.
            return _query(_statements.select(table, columns, where), ref, None)
        read: dict[str, Any] = {
            "table": table,
            "ref": ref,
            "columns": None if columns is None else list(columns),
            "filter": where,
            "range": None if rows is None else {"from": rows[0], "to": rows[1]},
            "batch_rows": batch_rows,
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
        _check_ref(ref)
        if isinstance(params, (str, bytes)) or hasattr(params, "keys"):
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
        from stemma._frames import source

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
        _check_metadata(metadata, f"write {table}")
        command = {
            "table": table,
            "mode": mode,
            "primary_key": key,
            "message": message,
            "write_id": write_id or f"py-{uuid.uuid4().hex}",
            "metadata": None if metadata is None else dict(metadata),
        }
        with progress(f"write {table}", src.rows if src.rows is not None else -1) as p:
            done = self._client.put(
                {"write": {k: v for k, v in command.items() if v is not None}},
                src.open,
                self._headers(),
                safe=src.repeatable and self._settings.transaction is None,
                progress=p.add,
            )
        return WriteResult(
            table=done.get("table") or table,
            database=done.get("database") or "",
            branch=done.get("branch") or "",
            **{k: int(done.get(k) or 0) for k in ("rows", "inserted", "updated", "deleted", "unchanged")},
            created=bool(done.get("created")),
            commit=done.get("commit"),
            already=bool(done.get("already")),
            notes=(*src.notes, *map(str, done.get("notes") or ())),
            in_transaction=self._settings.transaction is not None,
        )


class Repo(Reads, _ops.Verbs):
    """A database of a directory or a server. The verbs of stemma are methods: log, branch, merge, diff and the others.

    It can be used by many threads, after a fork, and can be pickled: it is an address and settings, and connects when it is called.
    """

    def __init__(self, address: _address.Address, settings: Settings) -> None:
        self._address = address
        self._settings = settings
        self._client = Client(address)

    def __reduce__(self) -> tuple[Any, ...]:
        return Repo, (self._address, self._settings)

    @property
    def uri(self) -> str:
        """Where the database is: a directory, or the URI of a server without a password."""
        return str(self._address)

    def at(
        self,
        *,
        branch: str | None = None,
        ref: str | None = None,
        database: str | None = None,
        author: str | None = None,
        run: str | None = None,
        run_node: str | None = None,
        run_attempt: str | None = None,
        run_alias: str | None = None,
    ) -> Repo:
        """Returns the same database with other settings: of another branch, as of a ref, or for a run and a part of it."""
        known = {"branch": branch, "ref": ref, "database": database, "author": author}
        known |= {"run": run, "run_node": run_node, "run_attempt": run_attempt, "run_alias": run_alias}
        given = {k: v for k, v in known.items() if v is not None}
        out = Repo.__new__(Repo)
        out._address, out._settings, out._client = self._address, dataclasses.replace(self._settings, **given), self._client
        return out

    def close(self) -> None:
        """Closes the connections. The owner of a directory ends by itself when nobody is connected."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ping(self) -> dict[str, Any]:
        """Returns what the server says of itself: version, protocol, databases, and the database and branch that calls are about."""
        found: dict[str, Any] = self._client.action("stemma.ping", {}, self._headers(), safe=True)
        return found

    def partitions(self, table: str, ref: str | None = None, n: int = 8) -> list[Partition]:
        """Returns a table at a ref in n parts of about equal rows, each of which can be pickled and read on its own.

        All parts are of one commit, whatever is written meanwhile. Without a ref it is HEAD; a table with uncommitted changes is refused then.
        """
        if not isinstance(n, int) or n < 1:
            raise InvalidError(f"partitions: n is {n!r}, not a number from 1")
        _check_ref(ref)

        def cut(on: Repo, name: str, at: str | None) -> list[Partition]:
            if at is None and on._settings.ref is None:
                at = on._committed(name)
            asked = {"table": name, "ref": at, "n": n}
            found = on._client.action("stemma.partitions", asked, on._headers(), safe=True)
            return [
                Partition(on._address, on._settings, name, found["commit"], p["from"], p["to"], p.get("first"), p.get("last"))
                for p in found["partitions"]
            ]

        return self._noted(table, ref, cut)

    def _committed(self, table: str) -> str | None:
        """Returns HEAD, if the table is there as it is in the working set."""
        now = self.resolve("WORKING", table)
        head = self.resolve("HEAD")
        try:
            same = self.resolve(str(head.commit), table).table_hash == now.table_hash
        except NotFoundError:
            same = False
        if not same:
            raise InvalidError(
                f"partitions of {table}: it has uncommitted changes, and parts are of one commit",
                hint="commit them, or name a ref: partitions(table, 'HEAD')",
                table=table,
            )
        return head.commit

    def _in(self, database: str) -> Reads:
        return self.at(database=database)

    def transaction(
        self, message: str | None = None, *, branch: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> Transaction:
        """Returns a transaction, for a `with`: what is written in it becomes one commit with the message, or nothing when the body fails.

        Without a message the changes are left uncommitted.
        """
        if message is not None and not isinstance(message, str):
            raise InvalidError(f"the message of a transaction is text, not {message!r}")
        _check_metadata(metadata, "transaction")
        return Transaction(self, message, branch, metadata)

    def _op(self, op: str, row: type[_ops.R], args: Mapping[str, Any]) -> _results.Result[_ops.R]:
        given = {k: _argument(v) for k, v in args.items() if v is not None and v is not False and v != ()}
        if "diff_mode" in args:
            given.setdefault("diff_mode", "row")  # cells are values; other modes draw them as texts
        body = {"op": op, "args": given, "dir": str(Path.cwd())}
        call = functools.partial(self._client.action, "stemma.op", body, self._headers())
        before = self._head(given) if op == "commit" else None
        try:
            done = _results.parse(op, row, call(safe=op in _ops.READ_ONLY))
            return dataclasses.replace(done, hints=_in_python(op, done.hints)) if done.hints else done
        except LostError as e:
            if e.unbegun:
                raise
            if before is not None:
                after = self._head(given)
                if after is not None and after.commit == before.commit:
                    return _results.parse(op, row, call(safe=False))
                if after is not None and self._made(after, before, given):
                    wire = {"columns": [{"name": "hash", "type": "text"}], "rows": [[after.short]]}
                    return _results.parse(op, row, wire)
            raise UnavailableError(
                f"the connection broke before {op} was answered",
                hint="it may have been done or not: see log() and status()",
                database=self._settings.database,
            ) from e
        except StemmaError as e:
            (e.message,) = _in_python(op, [e.message])
            if e.hint:
                (e.hint,) = _in_python(op, [e.hint])
            e.args = (e.message,)
            raise

    def _head(self, args: Mapping[str, Any]) -> Resolved | None:
        """Returns the head of the branch that a commit goes to; None where there is none."""
        repo = self.at(branch=str(args["branch"])) if "branch" in args else self
        try:
            return repo.resolve("HEAD")
        except NotFoundError:
            return None

    def _made(self, after: Resolved, before: Resolved, args: Mapping[str, Any]) -> bool:
        """Tells whether the head is what our commit, of which no answer came, has made."""
        last = self.log(str(after.commit), number=1)[0]
        return last.message == args.get("message") and last.parents == before.short

    def __repr__(self) -> str:
        s = self._settings
        return f"stemma.Repo({', '.join([repr(self.uri), *(f'{k}={v!r}' for k, v in dataclasses.asdict(s).items() if v is not None)])})"

    def _repr_html_(self) -> str:
        import html

        try:
            said = self.ping()
            tables = self.ls()
        except StemmaError as e:
            return f"<b>{html.escape(self.uri)}</b><p>{html.escape(str(e))}</p>"
        head = f"<b>{html.escape(self.uri)}</b> database {html.escape(str(said.get('database')))}, branch {html.escape(str(said.get('branch')))}"
        return f"<p>{head}</p>{tables._repr_html_()}"


class Transaction(Reads):
    """Writes and statements that become one commit. `commit_hash` is that commit after the `with`; None when nothing was written."""

    commit_hash: str | None = None

    def __init__(self, repo: Repo, message: str | None, branch: str | None, metadata: Mapping[str, Any] | None) -> None:
        self._repo = repo
        self._client = repo._client
        self._settings = repo._settings if branch is None else dataclasses.replace(repo._settings, branch=branch)
        self._message = message
        self._metadata = metadata
        self._state = "not begun"

    def __repr__(self) -> str:
        state = f"commit {self.commit_hash}" if self.commit_hash else self._state
        return f"stemma.Transaction({self._message!r}, {state})"

    def _headers(self) -> dict[str, str]:
        if self._settings.transaction is None:
            raise InvalidError(f"the transaction is {self._state}", hint="use it inside its with statement, or its database")
        return super()._headers()

    def __enter__(self) -> Self:
        if self._state != "not begun":
            raise InvalidError(f"the transaction is {self._state}", hint="begin another one")
        asked = {"message": self._message, "branch": self._settings.branch}
        begun = self._client.action("stemma.begin", asked, self._settings.headers(), safe=True)
        self._settings = dataclasses.replace(self._settings, transaction=begun["transaction"])
        self._state = "open"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        end = {
            "transaction": self._settings.transaction,
            "commit": kind is None,
            "message": self._message,
            "metadata": None if self._metadata is None else dict(self._metadata),
            "write_id": f"py-{uuid.uuid4().hex}",
        }
        self._settings = dataclasses.replace(self._settings, transaction=None)
        self._state = "over" if kind is None else "rolled back"
        try:
            self.commit_hash = self._client.action("stemma.end", end, self._settings.headers(), safe=True).get("commit")
        except StemmaError:
            # What the body failed of is what the caller wants to know; a transaction that nobody ends is rolled back.
            if kind is None:
                raise


def connect(
    uri: str | os.PathLike[str] | None = None,
    *,
    database: str | None = None,
    branch: str | None = None,
    ref: str | None = None,
    author: str | None = None,
    run: str | None = None,
    create: bool = False,
) -> Repo:
    """Connects to a database.

    A path is a directory: the process that owns it answers, and is started when there is none. `stemma://host:port/database` and
    `grpc://host:port` are servers. Without a uri it is that of STEMMA_URI, of `database` in stemma.yaml, or the working directory.

    Args:
        uri: where the database is.
        database: the database of a server that has several.
        branch: the branch to work on.
        ref: what reads see when they name no ref.
        author: `Name <mail>` for commits; STEMMA_AUTHOR_NAME and STEMMA_AUTHOR_EMAIL otherwise.
        run: the id of a run, kept with commits.
        create: makes a new database in the directory when there is none.

    """
    address = _address.parse(_address.default() if uri is None else uri)
    if create and address.directory is not None:
        from stemma import _owner

        if _address.database_directory(Path(address.directory)) is None:
            Path(address.directory).mkdir(parents=True, exist_ok=True)
            _owner.run(["init"], f"a database in {address.directory} could not be made", _owner.START, cwd=address.directory)
    name, mail = os.environ.get("STEMMA_AUTHOR_NAME"), os.environ.get("STEMMA_AUTHOR_EMAIL")
    if author is None and name and mail:
        author = f"{name} <{mail}>"
    if author is not None and not re.fullmatch(r".*\S <[^<>]*>", author):
        raise InvalidError(f"the author {author!r} is not of the form 'Name <mail>'")
    _check_ref(ref)
    repo = Repo(address, Settings(database or address.database, branch or address.branch, ref or address.ref, author, run))
    try:
        said = repo.ping()
    except BaseException:
        repo.close()
        raise
    if said.get("protocol") != PROTOCOL:
        repo.close()
        raise TooNewError(
            f"stemma {said.get('version')} at {repo.uri} and this client {__version__} do not understand each other",
            hint="install the client and the program of one version",
        )
    if said.get("database") is None and (repo._settings.database or repo._settings.branch or repo._settings.ref):
        try:
            repo.resolve()  # says which of them is not there
        except BaseException:
            repo.close()
            raise
    return repo


def _names(given: Any, what: str) -> list[str] | None:
    """Returns names that may be given as one text, as a list; None for none."""
    if given is None:
        return None
    names = [given] if isinstance(given, str) else list(given) if hasattr(given, "__iter__") else [given]
    for n in names:
        if not isinstance(n, str):
            raise InvalidError(f"{what} is a name of a column, or a list of such, not {n!r}")
    return names


def _check_metadata(metadata: Mapping[str, Any] | None, what: str) -> None:
    """Refuses metadata of a commit that JSON cannot hold."""
    try:
        json.dumps(None if metadata is None else dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as e:
        raise InvalidError(f"{what}: the metadata cannot be written as JSON: {e}") from None


def _check_ref(ref: Any) -> None:
    """Refuses a ref that is no text: numbers, and the empty text of a setting that was not set."""
    if ref is not None and not isinstance(ref, str):
        raise InvalidError(f"a ref is text, not {ref!r}", hint="YAML reads some hashes as numbers: put them in quotes")
    if ref is not None and not ref.strip():
        raise InvalidError("the ref is empty", hint="give a branch, tag, commit or time; None is the working set")


def _in_python(op: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Returns what the program says of a verb in the words of Python."""
    if not any("-" in t or "'" in t or "stemma " in t for t in texts):
        return tuple(texts)
    from stemma._words import in_python

    return tuple(in_python(op, t) for t in texts)


def _argument(v: Any) -> Any:
    """Returns an argument of a verb as JSON has it."""
    import datetime as dt

    if isinstance(v, (tuple, set, frozenset)):
        return [str(x) for x in v]
    if isinstance(v, dt.timedelta):
        return f"{v.total_seconds():f}s"
    if isinstance(v, (dt.datetime, dt.date)):
        return v.isoformat()
    if isinstance(v, os.PathLike):
        return os.fspath(v)
    return v


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
