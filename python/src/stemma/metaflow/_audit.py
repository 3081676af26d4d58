"""What a run read and wrote, as it is kept with the run: the artifact `dolt`."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from stemma._errors import NotFoundError, StemmaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["COPY", "Audit", "DoltAction", "DoltConfig", "copy_name", "select_all"]


@dataclass
class DoltConfig:
    """Which database, and where in it.

    Attributes:
        id: names the configuration in an audit; made when it is not given.
        database: a directory, or the URI of a server: `stemma://host:port/database`.
        branch: the branch to read and to write; None is the one that is checked out in a directory, or the server's default.
        commit: a commit, tag or other ref to read; None is the head of the branch when the first read or write is made.
        push_on_commit: whether the branch is pushed to the database's remote when a commit of a task has come into it.
        dolthub_remote: for flows that name it; a database of DoltHub is refused.
        database_id: the first commit of the database, which all its clones share; found when the database is opened.
        remote: the URL of the database's remote, found when the database is opened; None when it has none.
        head: the commit of the branch when the database was opened; it is found, and is no part of an audit.

    """

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    database: str = "."
    branch: str | None = None
    commit: str | None = None
    dolthub_remote: bool = False
    push_on_commit: bool = False
    database_id: str | None = None
    remote: str | None = None
    head: str | None = field(default=None, repr=False, compare=False)

    def dict(self) -> dict[str, Any]:
        """Returns the configuration as an audit has it."""
        known = dataclasses.asdict(self)
        del known["head"]
        return known


@dataclass
class DoltAction:
    """A read or a write of a run.

    Attributes:
        key: what an audit calls it: the table, unless the flow gave it another name.
        config_id: the configuration of the database.
        pathspec: the task, as `Flow/run/step/task`.
        table_name: the table; None for a query.
        commit: the commit that was read, or that the write made.
        kind: `read` or `write`.
        query: what was asked; of a write, what reads it again.
        artifact_name: the attribute of the flow that the frame was stored as; None when it was not.
        timestamp: seconds since 1970, in UTC.

    """

    key: str
    config_id: str
    pathspec: str | None = None
    table_name: str | None = None
    commit: str | None = None
    kind: str = "read"
    query: str | None = None
    artifact_name: str | None = None
    timestamp: float = field(default_factory=time.time)

    def dict(self) -> dict[str, Any]:
        """Returns the action as an audit has it."""
        return dataclasses.asdict(self)


COPY = "_stemma_"
"""Begins the names of the artifacts in which tasks keep what they read and wrote."""


def copy_name(step: str, task: str) -> str:
    """Returns the name of the artifact in which a task keeps what it read and wrote; no two tasks of a run share one."""
    return f"{COPY}{step}_{''.join(c if c.isalnum() else '_' for c in task)}"


class Audit(dict[str, Any]):
    """What the tasks of a run read and wrote: `{'actions': {key: {…}}, 'configs': {id: {…}}}`.

    It cannot be changed. As an artifact it is the same in all tasks of a run, so that joins merge it as any other: what is stored is the
    name of the run. What the databases have recorded of the run's tasks is gathered when it is looked at, and what each task keeps itself,
    which alone tells of a database that is not here. Of two actions with one key the later one is kept.

    Raises:
        StemmaError: when it is looked at and the run cannot be found.

    """

    def __init__(self, run: str, here: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.run = run
        self._here = here
        self._problem: StemmaError | None = None
        self._full = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (self.run,)

    def _gather(self) -> None:
        if self._full:
            return
        found: dict[str, Any] = {"actions": {}, "configs": {}}
        kept = _kept(self.run)
        recorded = [] if self._here else _recorded(self.run, kept)
        for part in [*recorded, *kept, *([self._here] if self._here else [])]:
            for key, action in part["actions"].items():
                old = found["actions"].get(key)
                if old is None or old["timestamp"] <= action["timestamp"]:
                    found["actions"][key] = action
            found["configs"].update(part["configs"])
        super().update(found)
        self._full = self._here is None

    def __getitem__(self, key: str) -> Any:
        self._gather()
        return super().__getitem__(key)

    def __iter__(self) -> Iterator[str]:
        self._gather()
        return super().__iter__()

    def __len__(self) -> int:
        self._gather()
        return super().__len__()

    def __contains__(self, key: object) -> bool:
        self._gather()
        return super().__contains__(key)

    def __eq__(self, other: object) -> bool:
        self._gather()
        return super().__eq__(other)

    __hash__ = None

    def __repr__(self) -> str:
        self._gather()
        return super().__repr__()

    def get(self, key: str, default: Any = None) -> Any:
        """Returns the actions or the configurations."""
        self._gather()
        return super().get(key, default)

    def keys(self) -> Any:
        """Returns 'actions' and 'configs'."""
        self._gather()
        return super().keys()

    def values(self) -> Any:
        """Returns the actions and the configurations."""
        self._gather()
        return super().values()

    def items(self) -> Any:
        """Returns actions and configurations with their names."""
        self._gather()
        return super().items()

    def copy(self) -> dict[str, Any]:
        """Returns the contents as a dict that can be changed."""
        self._gather()
        return dict(super().items())

    def _fixed(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("an audit tells what a run did and cannot be changed; copy() returns a dict that can")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _fixed


def _revive(run: str) -> Audit:
    audit = Audit(run)
    with contextlib.suppress(StemmaError):  # it is said when the audit is looked at
        audit._gather()
    return audit


def select_all(table: str) -> str:
    """Returns the query that an audit has for a table."""
    return "SELECT * FROM `" + table.replace("`", "``") + "`"  # noqa: S608 - the name is quoted


def _recorded(run: str, kept: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns what the databases that a run's tasks name have recorded of the run, as far as the tasks have not kept it.

    It has what a task has done that ended before its artifacts were stored.
    """
    from stemma.metaflow._databases import reopen
    from stemma.metaflow._task import run_uid

    known = {(a["pathspec"], a["key"], a["kind"]) for part in kept for a in part["actions"].values()}
    read = {(a["key"], a["commit"]) for part in kept for a in part["actions"].values() if a["kind"] == "read"}
    configs = {c["database"]: c for part in kept for c in part["configs"].values()}
    out: list[Mapping[str, Any]] = []
    for config in configs.values():
        actions: dict[tuple[str, str, str], dict[str, Any]] = {}
        with contextlib.suppress(StemmaError):  # a database that is not here any more
            found = reopen(DoltConfig(**config), ()).query(_TASKS, params=[run_uid(run), run_uid(run)]).read_all().to_pylist()
            for r in found:
                key = r["dataset_alias"] or r["table_name"]
                name = (r["external_id"], key, r["kind"])
                if name in known or (r["kind"] == "read" and (key, r["commit_hash"]) in read):
                    continue  # a task has kept it, perhaps one before, from whose results this one went on
                several = name in actions and actions[name]["table_name"] != r["table_name"]
                actions[name] = DoltAction(
                    key=key,
                    config_id=config["id"],
                    pathspec=r["external_id"],
                    table_name=None if several or (r["query"] and r["kind"] == "read") else r["table_name"],
                    commit=r["commit_hash"],
                    kind=r["kind"],
                    query=r["query"] or select_all(r["table_name"]),
                    timestamp=r["started_at"].replace(tzinfo=datetime.UTC).timestamp(),
                ).dict()
        out += [{"actions": {a["key"]: a}, "configs": {config["id"]: config}} for a in actions.values()]
    return out


# The hints have the joins go from the run's tasks to what those read and wrote, whatever else the database has recorded.
_TASKS = """
select /*+ JOIN_ORDER(r,i) LOOKUP_JOIN(r,i) */ 'read' as kind, r.external_id, r.started_at, i.table_name, i.dataset_alias, i.commit_hash, i.query_text as query
from stemma_runs r join stemma_run_inputs i on i.run_uid = r.run_uid
where r.parent_uid = ? and i.commit_hash is not null and i.table_name is not null
  and replace(i.db, '-', '_') = replace(substring_index(database(), '/', 1), '-', '_')
union all
select /*+ JOIN_ORDER(r,o) LOOKUP_JOIN(r,o) */ 'write', r.external_id, r.started_at, o.table_name, o.dataset_alias, o.commit_hash, null
from stemma_runs r join stemma_run_outputs o on o.run_uid = r.run_uid
where r.parent_uid = ? and o.after_hash is not null
"""


def _kept(run: str) -> list[Mapping[str, Any]]:
    """Returns what the tasks of a run have kept of what they read and wrote, in the order in which they were made."""
    from metaflow import Run
    from metaflow.exception import MetaflowException

    try:
        tasks = [t for step in Run(run, _namespace_check=False) for t in step]
    except MetaflowException as e:
        raise NotFoundError(
            f"the run {run} is not in this datastore of Metaflow: {e}",
            hint="METAFLOW_DATASTORE_SYSROOT_LOCAL and METAFLOW_PROFILE say where runs are",
        ) from None
    out = []
    for task in tasks:
        name = copy_name(task.path_components[2], task.id)
        if name in task:
            out.append(task[name].data)
    return sorted(out, key=lambda part: min((a["timestamp"] for a in part["actions"].values()), default=0.0))
