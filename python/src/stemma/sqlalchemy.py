"""SQLAlchemy's dialect for `stemma://`: MySQL's, over PyMySQL.

    sqlalchemy.create_engine("stemma://user@host:3306/database")
    sqlalchemy.create_engine("stemma://user@host:3306/database@ref")     # reads as of a branch, tag or commit
    sqlalchemy.create_engine("stemma:///path/to/database")               # the owner of a directory, started when there is none
    sqlalchemy.create_engine("stemma:///path/to/database?branch=b")      # … on a branch; ?ref= reads as of a ref

The port is that of MySQL's protocol. `mysql+pymysql://` works as well, at a ref with `user:password@` or, without one, `user:@`;
this one also takes a directory and a password-less default.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.engine import URL

__all__ = ["StemmaDialect"]


class StemmaDialect(MySQLDialect_pymysql):  # type: ignore[misc]
    """The dialect of `stemma://`, `stemma+pymysql://`."""

    name = "mysql"
    driver = "pymysql"
    supports_statement_cache = True

    def create_connect_args(self, url: URL, _translate_args: dict[str, Any] | None = None) -> tuple[list[Any], dict[str, Any]]:
        """Returns what PyMySQL connects with. Without a host the URL names a directory."""
        url = _reread(url)
        if url.host:
            arguments: tuple[list[Any], dict[str, Any]] = super().create_connect_args(url, _translate_args)
            arguments[1].setdefault("user", "root")
            return arguments
        query = dict(url.query)
        ref, branch = query.pop("ref", None), query.pop("branch", None)
        _, options = super().create_connect_args(url._replace(database=None, query=query), _translate_args)
        options.update(directory="/" + (url.database or "").lstrip("/"), ref=ref, branch=branch, user=url.username or "root")
        return [], options

    def connect(self, *args: Any, **options: Any) -> Any:
        """Connects; to the owner of a directory if the options name one."""
        directory = options.pop("directory", None)
        ref, branch = options.pop("ref", None), options.pop("branch", None)
        if directory is None:
            return super().connect(*args, **options)
        from stemma import _owner

        connection = self.loaded_dbapi.Connection(*args, defer_connect=True, ssl_disabled=True, **options)
        sock = _owner.connect(directory)
        sock.sendall(b"sql\n")
        connection.connect(sock)
        _use(connection, f"@{ref}" if ref else f"/{branch}" if branch else "")
        return connection


def _reread(url: URL) -> URL:
    """Returns a URL without a password whose last @ was taken for the one before the host: user@host:port/database@ref."""
    user, at, host = (url.username or "").rpartition("@")
    port, slash, database = (url.password or "").partition("/")
    if not (at and slash and port.isdigit()):
        return url
    ref = f"{url.host}/{url.database}" if url.database else url.host
    return URL.create(url.drivername, user, None, host, int(port), f"{database}@{ref}", url.query)


def _use(connection: Any, revision: str) -> None:
    """Chooses the database of a connection to an owner; the revision is empty, /branch or @ref."""
    with connection.cursor() as cur:
        cur.execute("select database()")
        (name,) = cur.fetchone()
        if name is None:
            cur.execute("show databases")
            names = [
                n
                for (n,) in cur.fetchall()
                if n not in {"information_schema", "mysql", "performance_schema", "sys"} and "/" not in n and "@" not in n
            ]
            name = names[0] if names else None
        if name is not None:
            target = name + revision
            cur.execute("use `" + target.replace("`", "``") + "`")
