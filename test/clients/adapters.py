"""The clients behind one small face, for the tests that all of them have to pass.

Each answers rows of text, None where a value is NULL, so that one expectation serves all.
"""

from __future__ import annotations

import datetime as dt
import subprocess
from typing import Protocol

import mysql.connector
import pymysql
import sqlalchemy as sa

from server import mysql_client

Row = tuple[str | None, ...]


def text(value: object) -> str | None:
    """A value as text, the same whichever client it came through."""
    if value is None:
        return None
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode()
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    return str(value)


class Adapter(Protocol):
    """A client connected to a database."""

    name: str

    def __init__(self, port: int, database: str) -> None: ...

    def rows(self, sql: str) -> list[Row]:
        """The rows that a statement answers, none when it answers no rows."""
        ...

    def close(self) -> None: ...


class PyMySQL:
    name = "pymysql"

    def __init__(self, port: int, database: str) -> None:
        self.connection = pymysql.connect(host="127.0.0.1", port=port, user="root", database=database, autocommit=True, ssl_disabled=True)

    def rows(self, sql: str) -> list[Row]:
        with self.connection.cursor() as cur:
            cur.execute(sql)
            return [tuple(map(text, r)) for r in cur.fetchall()]

    def close(self) -> None:
        self.connection.close()


class Connector:
    """MySQL's own connector in pure Python, its statements as text."""

    name = "connector"
    pure = True
    prepared = False

    def __init__(self, port: int, database: str) -> None:
        self.connection = mysql.connector.connect(
            host="127.0.0.1", port=port, user="root", database=database, autocommit=True, use_pure=self.pure
        )

    def rows(self, sql: str) -> list[Row]:
        cur = self.connection.cursor(prepared=self.prepared)
        cur.execute(sql)
        rows = cur.fetchall() if cur.with_rows else []
        cur.close()
        return [tuple(map(text, r)) for r in rows]

    def close(self) -> None:
        self.connection.close()


class ConnectorPrepared(Connector):
    name = "connector-prepared"
    prepared = True


class ConnectorC(Connector):
    """MySQL's own connector over its C library."""

    name = "connector-c"
    pure = False


class ConnectorCPrepared(ConnectorC):
    name = "connector-c-prepared"
    prepared = True


class SQLAlchemy:
    name = "sqlalchemy"

    def __init__(self, port: int, database: str) -> None:
        url = sa.URL.create("mysql+pymysql", "root", host="127.0.0.1", port=port, database=database)
        self.engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=0, pool_reset_on_return=None)

    def rows(self, sql: str) -> list[Row]:
        with self.engine.connect() as c:
            result = c.exec_driver_sql(sql)
            return [tuple(map(text, r)) for r in result] if result.returns_rows else []

    def close(self) -> None:
        self.engine.dispose()


class CommandLine:
    """The command-line client, kept open: what a statement answers ends where the answer to the next one begins."""

    name = "cli"
    end = "end of the answer"

    def __init__(self, port: int, database: str) -> None:
        client = mysql_client()
        assert client is not None
        self.process = subprocess.Popen(
            [client, "--no-defaults", "-h127.0.0.1", f"-P{port}", "-uroot", "--batch", "--skip-column-names", "--unbuffered",
             "--default-character-set=utf8mb4", database],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )

    def rows(self, sql: str) -> list[Row]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{sql};\nselect '{self.end}';\n")
        self.process.stdin.flush()
        rows: list[Row] = []
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line == self.end:
                return rows
            rows.append(tuple(None if v == "NULL" else v for v in line.split("\t")))
        raise AssertionError(f"the client ended: {rows}")

    def close(self) -> None:
        self.process.communicate("exit\n", 10)


ADAPTERS = [PyMySQL, Connector, ConnectorPrepared, ConnectorC, ConnectorCPrepared, SQLAlchemy, CommandLine]
