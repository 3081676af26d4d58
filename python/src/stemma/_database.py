"""The database of a run as the hooks see it: statements on a branch, over Arrow Flight or over MySQL's protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from stemma._errors import ConflictError, DeniedError, ExistsError, NotFoundError, StemmaError, UnavailableError

if TYPE_CHECKING:
    from stemma._repo import Repo

__all__ = ["Database", "OfRepo", "OfUrl", "at"]


class Database(Protocol):
    """A database that statements can be run in."""

    name: str
    """What messages call it: an address without a password."""

    run: str | None
    """The id of the run that the statements are of; None while they are not to be recorded as its doing."""

    def rows(self, statement: str, *params: Any, branch: str | None = None) -> list[tuple[Any, ...]]:
        """Runs a statement on a branch, or on the session's own, and returns its rows. `?` stands for a parameter.

        Raises:
            StemmaError: as the server says, with the class of the error where the protocol tells it.

        """
        ...

    def answer(self, statement: str, *params: Any, branch: str | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Runs a statement as rows does, and returns the names of its columns as well."""
        ...

    def close(self) -> None:
        """Closes the connections."""
        ...


class OfRepo:
    """A database that stemma's client reaches."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self.name = repo.uri
        self.run: str | None = None

    def rows(self, statement: str, *params: Any, branch: str | None = None) -> list[tuple[Any, ...]]:
        """See Database.rows."""
        return self.answer(statement, *params, branch=branch)[1]

    def answer(self, statement: str, *params: Any, branch: str | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """See Database.answer."""
        repo = self.repo.at(branch=branch, run=self.run)
        found = repo.query(statement, params=params or None).read_all()
        return found.column_names, list(zip(*(c.to_pylist() for c in found.columns), strict=True))

    def close(self) -> None:
        """Leaves the connections open: they are those of the datasets."""


def at(url: Any, revision: str) -> Any:
    """Returns the URL of a database at a branch or a commit of it, as SQLAlchemy has URLs."""
    return url.set(database=f"{url.database}/{revision}") if url.host else url.update_query_dict({"branch": revision})


_CLASSES: dict[int, type[StemmaError]] = {
    1044: DeniedError,
    1045: DeniedError,
    1049: NotFoundError,
    1142: DeniedError,
    1146: NotFoundError,
    1213: ConflictError,
    2003: UnavailableError,
    2006: UnavailableError,
    2013: UnavailableError,
}


class OfUrl:
    """A database that SQLAlchemy reaches by a URL, as the datasets of kedro-datasets do."""

    def __init__(self, url: Any, arguments: dict[str, Any] | None = None) -> None:
        from sqlalchemy import make_url

        self.url = make_url(url)
        self.name = self.url.render_as_string(hide_password=True)
        # Without a host the database is a directory.
        self._database = (self.url.database or "").partition("/")[0] if self.url.host else str(self.url.database)
        self._arguments = arguments or {}
        self.run: str | None = None
        self._engine: Any = None  # a server's
        self._open: dict[str | None, _Open] = {}

    def rows(self, statement: str, *params: Any, branch: str | None = None) -> list[tuple[Any, ...]]:
        """See Database.rows."""
        return self.answer(statement, *params, branch=branch)[1]

    def answer(self, statement: str, *params: Any, branch: str | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """See Database.answer."""
        from sqlalchemy.exc import DBAPIError

        try:
            made = self._connection(branch).exec_driver_sql(statement.replace("?", "%s"), params or None)
            return (list(made.keys()), [tuple(r) for r in made]) if made.returns_rows else ([], [])
        except DBAPIError as e:
            said: tuple[Any, ...] = e.orig.args if e.orig is not None else ()
            number = said[0] if said and isinstance(said[0], int) else 0
            text = str(said[1] if len(said) > 1 else e)
            kind = _CLASSES.get(number, StemmaError)
            if kind is StemmaError:
                low = text.lower()
                kind = ExistsError if "already exists" in low else ConflictError if "conflict" in low else StemmaError
            raise kind(f"{self.name}: {text}" if kind is UnavailableError else text, database=self._database) from e

    def _connection(self, branch: str | None) -> Any:
        """Returns a connection that is on the branch and says which run it works for.

        A server's is one for all branches: to make another takes longer than the statements of a run. A directory's is of its branch.
        """
        import sqlalchemy as sa

        key = None if self.url.host else branch
        if key not in self._open:
            engine = self._engine
            if engine is None:
                url = self.url if key is None else at(self.url, key)
                engine = sa.create_engine(url, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT", **self._arguments)
                self._engine = engine if self.url.host else None
            self._open[key] = _Open(engine.connect(), key)
        made = self._open[key]
        if made.branch != branch:
            database = self.url.database if branch is None else f"{self._database}/{branch}"
            made.connection.exec_driver_sql("use `" + str(database).replace("`", "``").replace("%", "%%") + "`", ())
            made.branch = branch
        if made.run != self.run:
            made.connection.exec_driver_sql("set @@stemma_run = %s", (self.run or "",))
            made.run = self.run
        return made.connection

    def close(self) -> None:
        """Closes the connections."""
        while self._open:
            self._open.popitem()[1].connection.close()


@dataclass
class _Open:
    """A connection, the branch that it is on, and the run that it has named."""

    connection: Any
    branch: str | None
    run: str | None = None
