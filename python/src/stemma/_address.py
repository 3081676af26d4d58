"""Where a database is: a directory of this machine, a server, or a remote that is read without a clone."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from stemma._errors import InvalidError, NotFoundError, nearest

PORT = 8815
"""The port of Arrow Flight on a server, unless it was told another one."""

SERVERS = {
    "stemma": False,
    "grpc": False,
    "grpc+tcp": False,
    "grpc+tls": True,
    "grpcs": True,
    "stemma+tls": True,
}
"""The schemes of servers, and whether they mean TLS."""

MARKER = "stemma-remote"
"""The file by which a directory is a remote."""

REMOTES = ("gs", "s3", "az", "http", "https")
"""The schemes of remotes. A `file://` is one when the directory that it names is."""

OPTIONS = ("branch", "ref", "tls", "ca", "database", "user", "password")


@dataclass(frozen=True)
class Address:
    """Where a database is, and what its URI says of how to use it."""

    directory: str | None = None
    remote: str | None = None
    host: str = ""
    port: int = PORT
    tls: bool = False
    ca: str | None = None
    user: str | None = None
    password: str | None = None
    database: str | None = None
    branch: str | None = None
    ref: str | None = None

    def __str__(self) -> str:
        """Returns the URI without a password."""
        if (local := self.directory or self.remote) is not None:
            return local
        name = f"/{self.database}" if self.database else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'stemma+tls' if self.tls else 'stemma'}://{host}:{self.port}{name}"

    __repr__ = __str__


def parse(uri: str | os.PathLike[str]) -> Address:
    """Returns the address that a path or a URI names.

    A path, or `file:///path`, is a directory. `gs://bucket/path`, `s3://bucket/path`, `az://container/path`, `https://host:port/database` and
    `file:///path` of a directory to which others push are remotes. `stemma://user:password@host:port/database@ref?branch=b` and the same with
    `grpc`, `grpc+tls` or `stemma+tls` is a server. A name of a user or a password with special characters is percent-encoded.
    """
    text = os.fspath(uri) if isinstance(uri, (str, os.PathLike)) else uri
    if not isinstance(text, str):
        raise InvalidError(f"a path or a URI is text, not {type(text).__name__}")
    if not text:
        raise InvalidError("the path or URI of the database is empty")
    scheme, found, rest = text.partition("://")
    if not found or (len(scheme) == 1 and os.name == "nt"):
        return Address(directory=_directory(text))
    scheme = scheme.lower()
    if scheme == "file":
        directory = _directory(unquote(rest.split("?")[0]))
        if (Path(directory) / MARKER).is_file():
            return Address(remote=f"file://{directory}")
        return Address(directory=directory)
    if scheme in REMOTES:
        _without_user(rest)
        return Address(remote=f"{scheme}://{rest.rstrip('/')}")
    if scheme not in SERVERS:
        if scheme.startswith(("mysql", "postgres")):
            hint = "stemma:// speaks to the port of Arrow Flight, 8815 unless the server was told another one"
        else:
            known = [*SERVERS, *REMOTES, "file"]
            hint = nearest(scheme, known) or f"a path, or one of {', '.join(f'{s}://' for s in known)}"
        raise InvalidError(f"{scheme}:// is not a scheme of a stemma database", hint=hint)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as e:
        raise InvalidError(f"the URI cannot be read: {e}") from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for o in options:
        if o not in OPTIONS:
            raise InvalidError(
                f"the URI has the unknown option {o!r}", hint=nearest(o, list(OPTIONS)) or f"there are {', '.join(OPTIONS)}"
            )
    name = unquote(parts.path.strip("/"))
    if not parts.hostname:
        if scheme == "stemma" and parts.path.startswith("/"):
            return Address(directory=_directory(unquote(parts.path)), branch=options.get("branch"), ref=options.get("ref"))
        raise InvalidError("the URI names no host", hint="as in stemma://localhost:8815/database")
    if "/" in name:
        raise InvalidError(
            f"{name!r} is not the name of a database", hint="a database of a server has one name: stemma://host:port/database"
        )
    database, _, ref = name.partition("@")
    return Address(
        host=parts.hostname,
        port=port or PORT,
        tls=SERVERS[scheme] or _truth(options.get("tls", "false")),
        ca=options.get("ca"),
        user=unquote(parts.username) if parts.username else options.get("user"),
        password=unquote(parts.password) if parts.password is not None else options.get("password"),
        database=database or options.get("database") or None,
        branch=options.get("branch") or None,
        ref=ref or options.get("ref") or None,
    )


def default(config: Path | None = None) -> str:
    """Returns the URI to use when none is given: STEMMA_URI, the `database` of the configuration, its directory or the working directory."""
    if uri := os.environ.get("STEMMA_URI"):
        return uri
    file = config or Path("stemma.yaml")
    if file.is_file() and (uri := _configured(file)):
        return uri
    if config is not None and database_directory(config.parent):
        return str(config.parent)
    if database_directory(Path.cwd()):
        return str(Path.cwd())
    raise NotFoundError(
        f"there is no database in {Path.cwd()}",
        hint="set STEMMA_URI, write 'database: <path or URI>' into stemma.yaml, or call stemma.connect(path)",
    )


def database_directory(directory: Path) -> Path | None:
    """Returns the directory within directory that holds the data; None when it is no database."""
    for name in (".stemma", ".dolt"):
        if (directory / name).is_dir():
            return directory / name
    return None


def _configured(file: Path) -> str | None:
    import yaml

    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise InvalidError(f"{file} cannot be read: {e}") from None
    uri = config.get("database") if isinstance(config, dict) else None
    if uri is None:
        return None
    if not isinstance(uri, str):
        raise InvalidError(f"{file}: the value of 'database' is not a path or a URI but {uri!r}")
    uri = os.path.expandvars(uri)
    return uri if "://" in uri else str(file.parent / uri)


def _directory(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - as the program does it, links are not followed


def _without_user(rest: str) -> None:
    """Refuses a URL of a remote that holds credentials, which messages and lists of processes would show. It is not quoted."""
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in host or ("@" in rest and ":" in host and not re.fullmatch(r"\d+|.*\]", host.rpartition(":")[2])):
        raise InvalidError(
            "the URL of a remote holds the name or password of a user, which messages would show",
            hint="leave out what is before the @; a server's user is STEMMA_REMOTE_USER and STEMMA_REMOTE_PASSWORD or in ~/.netrc, "
            "and buckets take the credentials of their cloud's own tools",
        )


def _truth(text: str) -> bool:
    low = text.lower()
    if low not in {"true", "1", "yes", "false", "0", "no"}:
        raise InvalidError(f"the URI's option tls is {text!r}, not true or false")
    return low in {"true", "1", "yes"}
