"""Datasets of other libraries that reach a database by a URL of SQLAlchemy: sending them to the branch of a run."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

from stemma._database import at
from stemma._errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["arguments", "database", "redirect", "replaced"]

DIALECTS = ("mysql", "mariadb", "stemma")


def url_of(dataset: Any) -> Any:
    """Returns the URL of a dataset of kedro-datasets, as SQLAlchemy has it; None for one that has none, or one of another kind of database."""
    text = getattr(dataset, "_connection_str", None)
    if not isinstance(text, str):
        return None
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except ArgumentError:
        return None
    return url if url.get_backend_name() in DIALECTS else None


def database(dataset: Any) -> str | None:
    """Returns the name of the database of a dataset; None when it has none, or names a branch or a ref of its own."""
    url = url_of(dataset)
    name = None if url is None else url.database
    if not name or "@" in name:
        return None
    if not url.host:
        return str(name).rstrip("/").rpartition("/")[2]
    return None if "/" in name else str(name)


def arguments(dataset: Any) -> dict[str, Any]:
    """Returns what the dataset gives SQLAlchemy beside the URL that matters for a connection of another pool."""
    return {k: v for k, v in (getattr(dataset, "_connection_args", None) or {}).items() if k == "connect_args"}


def replaced(dataset: Any) -> str | None:
    """Returns the table that the dataset replaces as a whole when it is saved."""
    save = getattr(dataset, "_save_args", None)
    if isinstance(save, dict) and save.get("if_exists") == "replace" and isinstance(save.get("name"), str):
        return str(save["name"])
    return None


def redirect(dataset: Any, revision: str, setting: dict[str, str | None]) -> Callable[[], None]:
    """Sends a dataset to a branch or a commit until what is returned is called. Only this dataset knows.

    Args:
        dataset: a dataset with a URL.
        revision: the branch or commit.
        setting: variables that each of its connections sets.

    """
    before = dataset._connection_str
    url = at(url_of(dataset), revision)
    common = url
    said = [f"@@{k} = {_quoted(v)}" for k, v in setting.items() if v is not None]
    say = "SET " + ", ".join(f"@@{k} = {_quoted(v or '')}" for k, v in setting.items())
    if said:
        if (own := url.query.get("init_command")) is not None:
            # A connection has one such command, and SET takes several variables.
            if not isinstance(own, str) or not own.lower().startswith("set "):
                raise InvalidError(f"the init_command of the dataset's URL is no SET: {own!r}", hint="leave it out, or make it one")
            said.insert(0, own[4:].rstrip("; "))
        url = url.update_query_dict({"init_command": "SET " + ", ".join(said)})
    after = url.render_as_string(hide_password=False)
    dataset._connection_str = after
    release = _share(dataset, common, after, say) if said else None

    def restore() -> None:
        dataset._connection_str = before
        engine = getattr(type(dataset), "engines", {}).pop(after, None)
        if release is not None:
            release()
        elif engine is not None:
            engine.dispose()

    return restore


class _Shared:
    """An engine that datasets of one run have in common: connections cost more than all else that hooks add."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.users = 0


class _Engines:
    """The engines of all runs of this process, by URL and arguments."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.shared: dict[tuple[str, str], _Shared] = {}


_engines = _Engines()


def _share(dataset: Any, url: Any, after: str, say: str) -> Callable[[], None] | None:
    """Gives a dataset of kedro-datasets an engine whose connections are those of all datasets with this URL, and have its variables while it uses them.

    Where that cannot be, as in another process, the dataset makes its own from the URL `after`, which says the same.
    """
    from sqlalchemy import create_engine, event

    engines, arguments = getattr(type(dataset), "engines", None), dict(getattr(dataset, "_connection_args", None) or {})
    if not isinstance(engines, dict):
        return None
    text = url.render_as_string(hide_password=False)
    key = (text, repr(sorted(arguments.items())))
    with _engines.lock:
        shared = _engines.shared.get(key)
        if shared is None:
            if not any(k.startswith("pool") for k in arguments):
                arguments.setdefault("max_overflow", -1)  # as many as separate engines would have
                arguments["pool_pre_ping"] = True  # a server, or what is between, may close a connection while a node works
            try:
                shared = _Shared(create_engine(text, **arguments))
            except Exception:  # the dataset says what is wrong when it is used
                return None
            _engines.shared[key] = shared
        shared.users += 1
    own = shared.engine.execution_options()

    def named(connection: Any, *_: Any) -> None:
        # Below SQLAlchemy, to whom this would be the beginning of a transaction.
        with contextlib.closing(connection.connection.cursor()) as cursor:
            cursor.execute(say)

    event.listen(own, "engine_connect", named)
    engines[after] = own

    def release() -> None:
        with _engines.lock:
            shared.users -= 1
            if shared.users > 0:
                return
            del _engines.shared[key]
        shared.engine.dispose()

    return release


def _forked() -> None:
    _engines.lock = threading.Lock()
    for shared in _engines.shared.values():
        shared.engine.dispose(close=False)  # the connections are the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
