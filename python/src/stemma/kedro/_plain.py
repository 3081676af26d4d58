"""Datasets of other libraries that reach a database by a URL of SQLAlchemy: sending them to the branch of a run."""

from __future__ import annotations

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
    said = [f"@@{k} = {_quoted(v)}" for k, v in setting.items() if v is not None]
    if said:
        if (own := url.query.get("init_command")) is not None:
            # A connection has one such command, and SET takes several variables.
            if not isinstance(own, str) or not own.lower().startswith("set "):
                raise InvalidError(f"the init_command of the dataset's URL is no SET: {own!r}", hint="leave it out, or make it one")
            said.insert(0, own[4:].rstrip("; "))
        url = url.update_query_dict({"init_command": "SET " + ", ".join(said)})
    after = url.render_as_string(hide_password=False)
    dataset._connection_str = after

    def restore() -> None:
        dataset._connection_str = before
        engine = getattr(type(dataset), "engines", {}).pop(after, None)
        if engine is not None:
            engine.dispose()

    return restore


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
