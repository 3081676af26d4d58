"""The branch on which a task writes until it has succeeded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stemma._database import OfRepo
from stemma._errors import NotFoundError
from stemma._run import Run
from stemma.metaflow._appends import Met
from stemma.metaflow._task import run_uid

if TYPE_CHECKING:
    from stemma._repo import Repo
    from stemma.metaflow._audit import DoltConfig
    from stemma.metaflow._task import Task

__all__ = ["TaskBranch"]


class TaskBranch(Run):
    """What a task writes to one database: rows that nobody else sees until they come, as one commit, into the branch of its configuration."""

    system = "metaflow"

    def __init__(self, repo: Repo, task: Task, config: DoltConfig) -> None:
        # The task's commit is the run's; merges of it are nobody's, so that a table that they joined has all its makers.
        super().__init__(OfRepo(repo.at(run_node=task.node, run_attempt=str(task.attempt))), f"{task.pathspec}.{task.attempt}")
        self.uid = run_uid(task.pathspec)
        self._task = task
        self._place = repo.uri
        self.node = task.node
        self.target, self.base = str(config.branch), str(config.head)
        self.appended: list[dict[str, str]] = []
        """The appends whose rows are on the branch: the commit's metadata has them, so that a later attempt knows them again."""
        self._met = Met(task)
        self._taken: list[str] = []

    def open(self) -> str:
        """Makes the branch at the commit that the task reads, and returns its name. What earlier attempts left is removed."""
        rows = self.database.rows
        stem = f"run/{self._task.pathspec}."
        for (name,) in rows("select name from dolt_branches where name like ?", stem.replace("_", r"\_") + "%"):
            rows("call dolt_branch('-D', ?)", name)
        self.branch = stem + str(self._task.attempt)
        rows("call dolt_branch(?, ?)", self.branch, self.base)
        return self.branch

    def written(self, tables: list[str]) -> str | None:
        """Commits what is there and brings it into the target. Returns the target's commit; None when nothing differs.

        Args:
            tables: what was written as a whole; of those without a primary key the task's rows count, not a mixture with what others wrote
                meanwhile.

        """
        task = self._task
        appended = {"appended": self.appended} if self.appended else {}
        try:
            return self.finish(f"Run: {task.pathspec}", {"metaflow": task.pathspec, **appended}, tables)
        except BaseException:
            if self.commit is None:
                self.forget()
            raise

    def give_up(self) -> None:
        """Removes the branch and what was written there."""
        self.forget()
        try:
            self._drop_branch()
        except NotFoundError:
            self.branch = None

    def append(self, table: str, key: str, digest: str) -> dict[str, str] | None:
        """Returns the record of an append, to be kept in `appended` once its rows are written; None when an earlier attempt has made it.

        Each record of an earlier attempt is that of one append, and is met once: the same rows appended twice are there twice.

        Args:
            table: the table.
            key: what the audit calls it.
            digest: what tells its rows from others.

        """
        record = {"branch": self.target, "table": table.lower(), "key": key, "digest": digest}
        met = self._met.all()
        for known, earlier in self._earlier(table):
            if earlier == digest and known not in met:
                self._meet(known)
                return None
        return record

    def wrote_whole(self, table: str) -> None:
        """Notes that a table was made anew: nothing that was appended to it before is there any more."""
        self.appended = [a for a in self.appended if a["table"] != table.lower()]
        met = self._met.all()
        for known, _ in self._earlier(table):
            if known not in met:
                self._meet(known)

    @property
    def mark(self) -> int:
        """Where `forget` goes back to."""
        return len(self._taken)

    def forget(self, mark: int = 0) -> None:
        """Takes back which records of earlier attempts were met since a mark."""
        while len(self._taken) > mark:
            self._met.remove(self._taken.pop())

    def _meet(self, record: str) -> None:
        self._met.add(record)
        self._taken.append(record)

    def _earlier(self, table: str) -> list[tuple[str, str]]:
        """Returns the appends to a table that earlier attempts of the task, or the run that this one resumes, have brought into the target.

        Each is a name for it and the digest of its rows. What this attempt has committed is not among them.
        """
        task = self._task
        if task.attempt == 0 and task.origin is None:
            return []
        at = (task.pathspec, task.attempt, self._place, self.target, table.lower())
        if at not in _known:
            _known[at] = self._find(table.lower())
        return _known[at]

    def _find(self, table: str) -> list[tuple[str, str]]:
        task, rows, runs = self._task, self.database.rows, self._task.runs()
        found = rows(
            "select distinct o.commit_hash from stemma_run_outputs o join stemma_runs r on r.run_uid = o.run_uid "  # noqa: S608 - only question marks
            f"where r.parent_uid in ({', '.join('?' * len(runs))}) and o.node = ? and lower(o.table_name) = ? "
            "and not (o.run_uid = ? and o.attempt = ?)",
            *runs,
            task.node,
            table,
            run_uid(task.pathspec),
            str(task.attempt),
        )
        return [
            (f"{commit}.{i}", a["digest"])
            for (commit,) in found
            if rows("select dolt_merge_base(?, ?) = hashof(?)", commit, self.target, commit)[0][0]
            for i, a in enumerate(self._appended_in(commit))
            if isinstance(a, dict) and (a["branch"], a["table"]) == (self.target, table)
        ]

    def _appended_in(self, commit: str) -> list[dict[str, str]]:
        known = self.database.rows("select metadata->'$.appended' from dolt_log(?) limit 1", commit)[0][0]
        return list(json.loads(known)) if isinstance(known, str) else known or []

    def _end(self, state: str, **_: Any) -> None:
        """The record of the task ends with the task, not with its branch."""


_known: dict[tuple[str, int, str, str, str], list[tuple[str, str]]] = {}
"""What earlier attempts have appended, by task, attempt, place of the database, branch and table: it stays as it is while the task runs."""
