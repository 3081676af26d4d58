"""Datasets of Kedro's catalog: a table, and a query."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NewType

from kedro.io.core import AbstractDataset

from stemma import _address, _read
from stemma._answers import Settings
from stemma._errors import InvalidError, NotFoundError, nearest
from stemma._tables import MODES
from stemma.kedro._binding import Binding, loading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro.io.core import Version

    from stemma._repo import Repo

TablePreview = NewType("TablePreview", dict[str, Any])
"""What Kedro-Viz draws as a table; it goes by the name of the type."""

__all__ = ["QueryDataset", "TableDataset"]

FRAMES = ("pandas", "polars", "arrow")
CREDENTIALS = ("uri", "con", "database", "user", "password", "author")


class _Dataset(AbstractDataset[Any, Any]):
    """What both datasets have: where the database is, the ref that is read, and the run that they are part of."""

    _EPHEMERAL: ClassVar[bool] = False

    _binding: Binding | None = None
    _after: str | None = None

    def _settle(  # noqa: PLR0917
        self,
        credentials: Mapping[str, Any] | str | None,
        database: str | None,
        ref: str | None,
        frame: str,
        version: Version | None,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        if frame not in FRAMES:
            raise InvalidError(f"frame is {frame!r}", hint=nearest(str(frame), list(FRAMES)) or f"there are {', '.join(FRAMES)}")
        if ref is not None and not isinstance(ref, str):
            raise InvalidError(f"ref is text, not {ref!r}", hint="YAML reads some hashes as numbers: put them in quotes")
        self._credentials = {"uri": credentials} if isinstance(credentials, str) else dict(credentials or {})
        for key in self._credentials:
            if key not in CREDENTIALS:
                raise InvalidError(
                    f"the credentials have the unknown key {key!r}",
                    hint=nearest(key, list(CREDENTIALS)) or f"there are {', '.join(CREDENTIALS)}",
                )
        self._database = database or self._credentials.get("database")
        uri = self._credentials.get("uri") or self._credentials.get("con")
        self._ref = (version.load if version is not None else None) or ref or (_address.parse(uri).ref if uri else None)
        self._frame = frame
        self._version = version
        self.metadata = metadata

    def _where(self) -> tuple[_address.Address, Settings]:
        """Returns the address of the database and what goes with calls, without regard to runs."""
        uri = self._credentials.get("uri") or self._credentials.get("con") or _address.default()
        address = _address.parse(uri)
        user, password = self._credentials.get("user"), self._credentials.get("password")
        if address.directory is None:
            address = dataclasses.replace(
                address,
                user=address.user if user is None else str(user),
                password=address.password if password is None else str(password),
            )
        return address, Settings(self._database or address.database, address.branch, author=self._credentials.get("author"))

    def _repo(self) -> Repo:
        """Returns the database as the run that the dataset is part of sees it; this process's own, whatever process made the dataset."""
        address, settings = self._where()
        from stemma import _default  # not before it is needed: it brings all of a repository

        repo = _default.shared(address, settings)
        bound = self._binding
        return repo.at(branch=self._after) if bound is None else repo.at(branch=bound.branch, run=bound.run)

    def _reads(self) -> str | None:
        """Returns the ref to read; None is the working set of the branch."""
        bound = self._binding
        if bound is None:
            return self._ref
        if self._ref is not None:
            return bound.pins.get(self._ref, self._ref)
        return bound.ref

    def _noted(self, repo: Repo, node: str | None) -> Repo:
        """Returns the database with the dataset's and the node's names on its calls, where the database records runs."""
        bound = self._binding
        if bound is None or bound.run is None:
            return repo
        return repo.at(run_alias=bound.alias, run_node=node)

    def resolve_load_version(self) -> str | None:
        """Returns the ref that is loaded; None is the newest state."""
        return self._ref

    def resolve_save_version(self) -> str | None:
        """Returns the version that Kedro gave the run, which the commit's metadata has as its run id."""
        return self._version.save if self._version is not None else None


class TableDataset(_Dataset):
    """A table of a database, loaded at a ref and saved as a whole, by its key or by appending.

    In a run with stemma's hooks, what is loaded is of the commit at which the run began, and of what the run itself has saved since; what
    is saved goes to the run's branch. Without hooks, loading and saving are about the working set of the branch, and nothing is committed.

    Args:
        table: the table.
        credentials: `{uri: …}`, a path or a URI such as `stemma://host:8815/database`, or that text alone; also `database`, `user`,
            `password`, and `author` (`Name <mail>`). None is the database of STEMMA_URI, stemma.yaml, or the working directory.
        database: the database of a server that has several.
        ref: a branch, tag, commit or time to load, always; it is resolved when a run begins. A table with a ref is not saved.
        primary_key: the columns of the key of a new table.
        mode: how it is saved, see `stemma.Repo.write`; None is `merge` for a table with a primary key and `replace` for others.
        columns: load these columns only, in this order.
        where: load rows for which this condition of SQL holds.
        frame: what is loaded: `pandas`, `polars` or `arrow`. All of them can be saved.
        load_args: further arguments of `stemma.Repo.read_pandas`, as `dtype_backend`.
        version: Kedro's, of `versioned: true`: `--load-versions=name:ref` loads that ref.
        metadata: Kedro's; `kedro-viz: {preview_args: {nrows: 5}}` is for its previews.

    """

    def __init__(
        self,
        *,
        table: str,
        credentials: dict[str, Any] | str | None = None,
        database: str | None = None,
        ref: str | None = None,
        primary_key: list[str] | str | None = None,
        mode: str | None = None,
        columns: list[str] | None = None,
        where: str | None = None,
        frame: str = "pandas",
        load_args: dict[str, Any] | None = None,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(table, str) or not table:
            raise InvalidError(f"table is the name of a table, not {table!r}")
        if mode is not None and mode not in MODES:
            raise InvalidError(f"mode is {mode!r}", hint=nearest(str(mode), list(MODES)) or f"there are {', '.join(MODES)}")
        self._settle(credentials, database, ref, frame, version, metadata)
        self._table = table
        self._primary_key: Sequence[str] | None = [primary_key] if isinstance(primary_key, str) else primary_key
        self._mode = mode
        self._columns = columns
        self._where_rows = where
        self._load_args = load_args or {}
        if self._load_args and frame != "pandas":
            raise InvalidError("load_args are arguments of read_pandas", hint="leave them out, or frame: pandas")

    @property
    def replaces(self) -> bool:
        """Whether saving takes the rows of the table anew, whatever they were."""
        return self._mode in {"replace", "replace_rows"} or (self._mode is None and not self._primary_key)

    def load(self) -> Any:
        """Loads the table as a frame."""
        repo = self._noted(self._repo(), loading.get() or (self._binding.node if self._binding else None))
        wanted: dict[str, Any] = {"columns": self._columns, "where": self._where_rows}
        if self._frame == "pandas":
            return repo.read_pandas(self._table, self._reads(), **wanted, **self._load_args)
        data = repo.read_arrow(self._table, self._reads(), **wanted)
        return data if self._frame == "arrow" else _read.to_polars(data)

    def save(self, data: Any) -> None:
        """Saves a frame of pandas, Polars or Arrow."""
        bound = self._binding
        if self._ref is not None:
            raise InvalidError(
                f"table {self._table} is not saved: the catalog reads it at {self._ref!r}",
                hint="save to a dataset without ref, or with --load-versions no more than it loads",
            )
        if bound is not None and bound.branch is None:
            raise InvalidError(
                f"table {self._table} is not saved: no node of the pipeline has it among its outputs",
                hint="a run has a branch to write to when its pipeline writes to the database",
            )
        repo = self._noted(self._repo(), bound.node if bound else None)
        repo.write(data, self._table, mode=self._save_mode(repo), primary_key=self._primary_key)  # type: ignore[arg-type]

    def _save_mode(self, repo: Repo) -> str:
        if self._mode is not None:
            return self._mode
        if self._primary_key:
            return "merge"
        try:
            schema = repo.scan(self._table, rows=(0, 0)).schema
        except NotFoundError:
            return "replace"
        return "merge" if (schema.metadata or {}).get(b"stemma.primary_key", b"[]") not in {b"[]", b"null"} else "replace"

    def _exists(self) -> bool:
        repo = self._repo()
        try:
            repo.scan(self._table, self._reads(), rows=(0, 0)).read_all()
        except NotFoundError:
            return False
        return True

    def preview(self, nrows: int = 5) -> Any:
        """Returns the first rows for Kedro-Viz: a dict as pandas' `to_dict(orient="split")` gives it."""
        data = self._repo().scan(self._table, self._reads(), columns=self._columns, rows=(0, nrows)).read_all()
        return TablePreview(_split(data))

    def _describe(self) -> dict[str, Any]:
        return {
            "table": self._table,
            "database": self._shown(),
            "ref": self._ref,
            "branch": self._binding.branch if self._binding else None,
            "primary_key": self._primary_key,
            "mode": self._mode,
            "frame": self._frame,
        }

    def _shown(self) -> str | None:
        return _shown(self._credentials, self._database)


class QueryDataset(_Dataset):
    """A query, loaded as a frame. It is read at the commit at which a run began, as tables are.

    Args:
        sql: the query; `?` stands for a parameter.
        filepath: a file that holds the query, in place of sql.
        credentials: as for TableDataset.
        database: the database of a server that has several.
        ref: what all tables of the query are read as of; `AS OF` in the query goes before.
        params: the values of the parameters.
        frame: what is loaded: `pandas`, `polars` or `arrow`.
        version: Kedro's, of `versioned: true`: `--load-versions=name:ref` loads as of that ref.
        metadata: Kedro's.

    """

    def __init__(
        self,
        *,
        sql: str | None = None,
        filepath: str | None = None,
        credentials: dict[str, Any] | str | None = None,
        database: str | None = None,
        ref: str | None = None,
        params: list[Any] | None = None,
        frame: str = "pandas",
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if (sql is None) == (filepath is None):
            raise InvalidError("either sql or filepath is given", hint="one of the two")
        self._settle(credentials, database, ref, frame, version, metadata)
        self._sql = sql
        self._filepath = filepath
        self._params = params

    def load(self) -> Any:
        """Runs the query and returns its rows as a frame."""
        repo = self._noted(self._repo(), loading.get() or (self._binding.node if self._binding else None))
        return repo.sql(self._query(), ref=self._reads(), params=self._params, frame=self._frame)  # type: ignore[call-overload]

    def save(self, data: Any) -> None:  # noqa: ARG002 - Kedro's signature
        """Is refused: a query is only read."""
        raise InvalidError("a query is not saved", hint="save to a stemma.kedro.TableDataset")

    def _query(self) -> str:
        return self._sql if self._sql is not None else Path(str(self._filepath)).read_text(encoding="utf-8")

    def _exists(self) -> bool:
        return True

    def preview(self, nrows: int = 5) -> Any:
        """Returns the first rows for Kedro-Viz: a dict as pandas' `to_dict(orient="split")` gives it."""
        reader = self._repo().query(self._query(), ref=self._reads(), params=self._params)
        with reader:
            import pyarrow as pa

            batches, have = [], 0
            for batch in reader:
                batches.append(batch.slice(0, nrows - have))
                have += batches[-1].num_rows
                if have >= nrows:
                    break
            return TablePreview(_split(pa.Table.from_batches(batches, reader.schema)))

    def _describe(self) -> dict[str, Any]:
        return {
            "sql": self._sql,
            "filepath": self._filepath,
            "database": _shown(self._credentials, self._database),
            "ref": self._ref,
            "params": self._params,
            "frame": self._frame,
        }


# Kedro-Viz looks at the annotation itself, not at its text.
TableDataset.preview.__annotations__["return"] = TablePreview
QueryDataset.preview.__annotations__["return"] = TablePreview


def _shown(credentials: Mapping[str, Any], database: str | None) -> str | None:
    """Returns the address without a password, for messages."""
    uri = credentials.get("uri") or credentials.get("con")
    if uri is None:
        return database
    try:
        return str(_address.parse(uri))
    except InvalidError:
        return database


def _split(data: Any) -> dict[str, Any]:
    rows = [list(r) for r in zip(*(c.to_pylist() for c in data.columns), strict=True)]
    return {"index": list(range(len(rows))), "columns": data.column_names, "data": rows}
