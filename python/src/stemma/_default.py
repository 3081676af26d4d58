"""The database that calls without one are about."""

from __future__ import annotations

import functools
import inspect
import os
import re
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from stemma import _address
from stemma._repo import Repo, connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from stemma._answers import Settings

P = ParamSpec("P")
R = TypeVar("R")

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://\S+$")

KEPT = 16
"""How many connections are kept for calls that name a database or mean the default one."""

_lock = threading.Lock()
_repos: dict[tuple[_address.Address, Settings], Repo] = {}
_named: OrderedDict[tuple[str | None, ...], Repo] = OrderedDict()  # last the one used last

if hasattr(os, "register_at_fork"):

    def _unlock() -> None:
        global _lock  # noqa: PLW0603 - another thread may have held it when the process was forked
        _lock = threading.Lock()

    os.register_at_fork(after_in_child=_unlock)


def shared(address: _address.Address, settings: Settings) -> Repo:
    """Returns the repo of this process for an address and settings."""
    with _lock:
        repo = _repos.get((address, settings))
        if repo is None:
            repo = _repos[address, settings] = Repo(address, settings)
        return repo


def default() -> Repo:
    """Returns the database of STEMMA_URI, of `database` in stemma.yaml, or of the working directory."""
    return named(_address.default())


def named(uri: str) -> Repo:
    """Returns a connection of this process to the database of a URI; the last ones are kept."""
    key = (uri, str(Path.cwd()), os.environ.get("STEMMA_AUTHOR_NAME"), os.environ.get("STEMMA_AUTHOR_EMAIL"))
    with _lock:
        if (repo := _named.get(key)) is not None:
            _named.move_to_end(key)
            return repo
    repo = connect(uri)
    with _lock:
        _named[key] = repo
        while len(_named) > KEPT:  # it is not closed: a scan of it may go on
            _named.popitem(last=False)
    return repo


def _of_default(method: Callable[Concatenate[Repo, P], R]) -> Callable[P, R]:
    """Returns a method of Repo as a function that is about the default database, or that of the URI that comes first."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if args and isinstance(args[0], str) and _URI.match(args[0]):
            rest: Any = args[1:]
            repo = connect(args[0]) if _address.parse(args[0]).remote is not None else named(args[0])
            return method(repo, *rest, **kwargs)
        return method(default(), *args, **kwargs)

    signature = inspect.signature(method)
    call.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])  # type: ignore[attr-defined]
    call.__module__, call.__qualname__ = "stemma", method.__name__
    call.__doc__ = (
        f"{(method.__doc__ or '').rstrip()}\n\n        The table is of the default database; see stemma.default. A URI before the other "
        f"arguments names another one:\n        {method.__name__}('gs://bucket/prices', ...).\n        "
    )
    return call


partitions = _of_default(Repo.partitions)
read_arrow = _of_default(Repo.read_arrow)
read_pandas = _of_default(Repo.read_pandas)
read_polars = _of_default(Repo.read_polars)
scan = _of_default(Repo.scan)
sql = _of_default(Repo.sql)
write = _of_default(Repo.write)
