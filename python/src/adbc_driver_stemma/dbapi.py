"""The DB-API 2.0 of stemma over Arrow, for pandas, Polars and others.

with adbc_driver_stemma.dbapi.connect("path/or/stemma://host/database") as con:
    frame = pandas.read_sql("select * from prices", con)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import adbc_driver_manager.dbapi as _manager
from adbc_driver_manager.dbapi import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    DatabaseError,
    DataError,
    Date,
    DateFromTicks,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
    Warning,
)

import adbc_driver_stemma

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "apilevel",
    "connect",
    "paramstyle",
    "threadsafety",
]

apilevel: str = _manager.apilevel
threadsafety: int = _manager.threadsafety
paramstyle = "qmark"


class Cursor(_manager.Cursor):  # type: ignore[misc]
    """ADBC's cursor. A statement that gives no rows is done when execute returns."""

    def execute(self, operation: bytes | str, parameters: Any = None) -> Cursor:
        """Runs a statement; see ADBC's cursor."""
        super().execute(operation, parameters)
        if not self.description:
            # The driver asks for the rows of a statement in the background, and it is run when they are taken.
            self.fetchall()
        return self


class Connection(_manager.Connection):  # type: ignore[misc]
    """ADBC's connection."""

    def cursor(self, *, adbc_stmt_kwargs: Mapping[str, Any] | None = None) -> Cursor:
        """Returns a cursor; see ADBC's connection."""
        cursor = Cursor(self, adbc_stmt_kwargs, dbapi_backend=self._backend)
        self._cursors.add(cursor)
        return cursor


def connect(
    uri: str | os.PathLike[str],
    db_kwargs: Mapping[str, str] | None = None,
    conn_kwargs: Mapping[str, str] | None = None,
    *,
    autocommit: bool = False,
    **kwargs: Any,
) -> Connection:
    """Connects to a database.

    Args:
        uri: what `stemma.connect` takes: a path, `stemma://host:port/database@ref`.
        db_kwargs: options of the driver, and `stemma.branch`, `stemma.ref` and others: see adbc_driver_stemma.connect.
        conn_kwargs: options of the connection.
        autocommit: whether each statement is a transaction of its own.
        kwargs: what the driver manager's Connection takes besides.

    """
    database = adbc_driver_stemma.connect(uri, db_kwargs)
    try:
        connection = adbc_driver_manager.AdbcConnection(database, **dict(conn_kwargs or {}))
    except BaseException:
        database.close()
        raise
    try:
        return Connection(database, connection, autocommit=autocommit, **kwargs)
    except BaseException:
        connection.close()
        database.close()
        raise
