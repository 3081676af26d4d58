"""What `dolt_integrations.metaflow.dolt` had, for flows that import it from there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stemma.metaflow import Audit as DoltAudit
from stemma.metaflow import DoltAction, DoltConfig, DoltDT

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DoltAction", "DoltAudit", "DoltConfig", "DoltDT", "detach_head"]


@contextmanager
def detach_head(db: Any, commit: str) -> Iterator[Any]:
    """Yields the database as of a commit. Nothing is checked out: other sessions do not notice, and no branch is left behind.

    Args:
        db: a `stemma.Repo`.
        commit: a commit, branch, tag or time.

    """
    yield db.at(ref=commit)
