"""What is done with the URL of a remote and needs no database: a process of its own does it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemma import _ops
from stemma._repo import Repo, argument, connect, perform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stemma._results import Result

__all__ = ["backup_restore", "clone", "ls_remote"]


class _Apart(_ops.Verbs):
    def _op(self, op: str, row: type[_ops.R], args: Mapping[str, Any]) -> Result[_ops.R]:
        return perform(op, row, {k: argument(v) for k, v in args.items() if v is not None and v is not False})


def clone(
    url: str,
    dir: str | os.PathLike[str] | None = None,
    *,
    remote: str | None = None,
    branch: str | None = None,
    single_branch: bool = False,
    depth: int | None = None,
    rev: str | None = None,
    tables: str | None = None,
    lazy: bool = False,
    cache: int | None = None,
) -> Repo:
    """Makes a database of a remote, and connects to it.

    Args:
        url: where the remote is.
        dir: the directory to be made, or an empty one; otherwise one named after the remote.
        remote: what the remote is called here; origin when nothing is said.
        branch: the branch to check out; otherwise main, or the only one, or the first.
        single_branch: take the history of that branch only, and no tags.
        depth: take the newest n commits only, of that branch; the others can be fetched later.
        rev: take the history of this commit or tag, as the branch that is named or the remote's default.
        tables: take these tables only; the others can be fetched later.
        lazy: take commits only; rows come from the remote when they are read, and the last of them are kept.
        cache: with lazy: how much of what was read is kept, in MiB.

    """
    to = os.fspath(dir) if dir is not None else url.rstrip("/").rpartition("/")[2]
    _Apart().clone(
        url,
        to or None,
        remote=remote,
        branch=branch,
        single_branch=single_branch,
        depth=depth,
        rev=rev,
        tables=tables,
        lazy=lazy,
        cache=cache,
    )
    return connect(Path(to))


def backup_restore(url: str, dir: str | os.PathLike[str], *, at: str | None = None) -> Repo:
    """Makes a database of a backup, and connects to it.

    Args:
        url: where the backup is.
        dir: the directory to be made, or an empty one.
        at: as it was at that time, or at that commit or tag.

    """
    _Apart().backup_restore(url, os.fspath(dir), at=at)
    return connect(dir)


def ls_remote(url: str, *, heads: bool = False, tags: bool = False) -> Result[_ops.LsRemoteRow]:
    """Lists the branches and tags of a remote.

    Args:
        url: where the remote is.
        heads: branches only.
        tags: tags only.

    """
    return _Apart().ls_remote(url, heads=heads, tags=tags)
