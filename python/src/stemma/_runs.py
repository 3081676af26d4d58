"""Runs in a database's record of them, through statements of SQL: the one place of the Python package that knows the procedures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stemma._errors import StemmaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Rows = Callable[..., list[tuple[Any, ...]]]

__all__ = ["begin", "end", "find", "recorded"]


def recorded(rows: Rows) -> bool:
    """Tells whether the database records runs."""
    try:
        rows("select run_uid from stemma_runs limit 0")
    except StemmaError:
        return False
    return True


def find(rows: Rows, system: str, external_id: str) -> tuple[str, str] | None:
    """Returns uid and state of the run that a system calls so; None when there is none."""
    found = rows("select run_uid, state from stemma_runs where `system` = ? and external_id = ?", system, external_id)
    return (str(found[0][0]), str(found[0][1])) if found else None


def begin(rows: Rows, run: str, **known: Any) -> str:
    """Records that a run has begun and returns its uid.

    Args:
        rows: runs a statement.
        run: the uid, a UUID.
        known: what is known of it: system, external_id, parent, job, params (a mapping), git_sha, git_dirty, branch, base.

    """
    rows(*_call("stemma_run_start", run, **known))
    return run


def end(rows: Rows, run: str, state: str, *, error: str | None = None, result_commit: str | None = None) -> None:
    """Records how a run has ended: COMPLETE, FAIL or ABORT."""
    rows(*_call("stemma_run_end", run, state=state, error=error, result_commit=result_commit))


def _call(procedure: str, *arguments: str, **options: Any) -> tuple[Any, ...]:
    """Returns the statement that calls a procedure, and its parameters."""
    given: list[str] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        given.append(f"--{name.replace('_', '-')}")
        if value is not True:
            given.append(_text(value))
    given += arguments
    return (f"call {procedure}({', '.join('?' * len(given))})", *given)


def _text(value: Mapping[str, Any] | Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def lineage(answer: Any, table: str, ref: str, *, down: bool, depth: int) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Returns the edges between runs and tables above a table at a ref, or below it, as columns and rows.

    Args:
        answer: runs a statement and returns columns and rows.
        table: the table.
        ref: where it is looked at.
        down: what was made of it, rather than what it was made of.
        depth: the number of runs to go through.

    """
    found: tuple[list[str], list[tuple[Any, ...]]] = answer(
        "select * from stemma_lineage(?, ?, ?)", f"{table}@{ref}", "down" if down else "up", depth
    )
    return found
