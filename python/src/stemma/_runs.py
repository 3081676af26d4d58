"""Runs in a database's record of them, through statements of SQL: the one place of the Python package that knows the procedures."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stemma._errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    Rows = Callable[..., list[tuple[Any, ...]]]

__all__ = ["Edge", "Start", "begin", "carry", "end", "lineage", "start"]


@dataclass(frozen=True)
class Start:
    """Where a session is when a run begins.

    Attributes:
        branch: its branch; None at a commit.
        head: the commit there.
        other: uid and state of the run that the system calls as it calls this one, as text; None when there is none.
        records: whether the database records runs.

    """

    branch: str | None
    head: str
    other: str | None = None
    records: bool = True


def start(rows: Rows, system: str, external_id: str) -> Start:
    """Returns where the session is, and what the database knows of a run that the system calls so, with one statement."""
    here = "select active_branch(), hashof('HEAD')"
    other = "(select concat(run_uid, ', which is ', state) from stemma_runs where `system` = ? and external_id = ? limit 1)"
    try:
        ((branch, head, found),) = rows(f"{here}, {other}", system, external_id)
    except NotFoundError:
        ((branch, head),) = rows(here)
        return Start(branch, str(head), records=False)
    return Start(branch, str(head), None if found is None else str(found))


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


_INPUT = {
    "db": "db",
    "table": "table_name",
    "query": "query_text",
    "ref": "ref_asked",
    "commit": "commit_hash",
    "hash": "table_hash",
    "columns": "columns",
    "predicate": "predicate",
    "rows": "row_count",
    "node": "node",
    "attempt": "attempt",
    "alias": "dataset_alias",
    "mapping": "row_mapping",
}
"""What is recorded of a read: by the names of `run record` the columns of stemma_run_inputs."""

_DOCUMENTS = ("columns", "mapping")


def _inputs(rows: Rows, run: str) -> list[dict[str, Any]]:
    """Returns what a database has recorded of what a run read, as `run record` takes it."""
    out = []
    for row in rows(f"select {', '.join(_INPUT.values())} from stemma_run_inputs where run_uid = ? order by seq", run):  # noqa: S608 - names of columns
        known = {k: v for k, v in zip(_INPUT, row, strict=True) if v is not None}
        for k in _DOCUMENTS:
            if isinstance(known.get(k), str | bytes):
                known[k] = json.loads(known[k])
        out.append(known)
    return out


def carry(
    to: Rows,
    run: str,
    sources: Iterable[tuple[Rows, str]] = (),
    *,
    through: Mapping[str, Collection[str]] | None = None,
    node: str | None = None,
) -> None:
    """Records in the database to which a run writes what it was made from and the database has not seen.

    Args:
        to: runs a statement there.
        run: the uid of the run.
        sources: for other databases, and for other runs whose results the run goes on with: what runs a statement there, and the uid under
            which they were read.
        through: by node, the nodes whose results come to it in memory or in files: what those read, it was made from.
        node: the node that goes on with what the sources tell; None keeps each read with the node that it was for.

    """
    known = _inputs(to, run)
    found = [(read, False) for read in known]
    for rows, uid in sources:
        found += [(read if node is None else {**read, "node": node}, True) for read in _inputs(rows, uid)]
    seen = {json.dumps(read, sort_keys=True) for read in known}
    new = []
    for read, elsewhere in found:
        nodes = [read.get("node")] if elsewhere else []
        nodes += [n for n, before in (through or {}).items() if read.get("node") in before]
        for name in nodes:
            one = {**read, "node": name} if name is not None else read
            text = json.dumps(one, sort_keys=True)
            if text not in seen:
                seen.add(text)
                new.append(one)
    if new:
        to(*_call("stemma_run_record", run, inputs=new))


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


def _text(value: Any) -> str:
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
