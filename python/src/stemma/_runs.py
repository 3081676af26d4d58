"""Runs in a database's record of them, through statements of SQL: the one place of the Python package that knows the procedures."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Rows = Callable[..., list[tuple[Any, ...]]]

__all__ = ["Edge", "begin", "end", "find", "lineage"]


def find(rows: Rows, system: str, external_id: str) -> tuple[str, str] | None:
    """Returns uid and state of the run that a system calls so; None when there is none.

    Raises:
        NotFoundError: the database does not record runs.

    """
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


def lineage(rows: Rows, table: str, ref: str, *, depth: int) -> list[Edge]:
    """Returns the run that last changed a table in the history of a ref, what it read, and so on for what it read.

    A table that no recorded run has changed ends the walk: nothing is guessed.

    Args:
        rows: runs a statement.
        table: the table.
        ref: where it is looked at.
        depth: the number of runs to go through.

    """
    out: list[Edge] = []
    runs: dict[int, tuple[Edge, list[Edge]]] = {}  # the last run of each level, and its edges
    order: list[tuple[Edge, list[Edge]]] = []
    for level, kind, name, commit, uid, external, system, state in rows(_UP, table, ref, depth):
        at = (int(level) + 1) // 2
        if kind == "run":
            if uid is not None:
                made = Edge(at, str(name), str(commit)[:32], str(external or uid), str(system or ""), str(state or ""))
                runs[at] = (made, [])
                order.append(runs[at])
        elif at in runs and int(level) > 0 and kind == "table":
            runs[at][1].append(replace(runs[at][0], source=str(name), source_commit=commit and str(commit)[:32]))
    for made, edges in order:
        out += edges or [made]
    return sorted(out, key=lambda e: e.level)


@dataclass(frozen=True)
class Edge:
    """A run that made a table, and one of the tables that it read.

    Attributes:
        level: how far from the table that was asked for: 1 is the run that made it.
        table, commit: what the run wrote, and the commit with it.
        run, system, state: the run, by what its system calls it.
        source, source_commit: what it read; None for a run that read nothing here.

    """

    level: int
    table: str
    commit: str
    run: str
    system: str
    state: str
    source: str | None = None
    source_commit: str | None = None


_UP = """
select level, kind, table_name, commit_hash, run_uid, external_id, `system`, state from stemma_lineage(?, ?, 'up', ?)"""
