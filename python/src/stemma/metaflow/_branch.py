"""The branch on which a task writes until it has succeeded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stemma._database import OfRepo
from stemma._errors import NotFoundError
from stemma._run import Run
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
        self.node = task.node
        self.target, self.base = str(config.branch), str(config.head)
        self.appended: set[str] = set()
        """The tables, in small letters, that rows were appended to: the commit's metadata has them."""

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
        appended = {"appended": sorted(self.appended)} if self.appended else {}
        return self.finish(f"Run: {task.pathspec}", {"metaflow": task.pathspec, **appended}, tables)

    def give_up(self) -> None:
        """Removes the branch and what was written there."""
        try:
            self._drop_branch()
        except NotFoundError:
            self.branch = None

    def landed(self, runs: list[str], node: str, table: str) -> int:
        """Returns how many commits that appended to a table earlier attempts of the task have brought into the target.

        Args:
            runs: the ids of the runs of Metaflow that the task may have been part of: this one, and the one that it resumes.
            node: the step and the place in its foreach.
            table: the table, in small letters.

        """
        rows = self.database.rows
        holders = ", ".join("?" * len(runs))
        found = rows(
            "select distinct o.commit_hash from stemma_run_outputs o join stemma_runs r on r.run_uid = o.run_uid "  # noqa: S608 - only question marks
            f"where r.parent_uid in ({holders}) and o.node = ? and lower(o.table_name) = ?",
            *runs,
            node,
            table,
        )
        return sum(
            bool(rows("select dolt_merge_base(?, ?) = hashof(?)", commit, self.target, commit)[0][0])
            and table in self._appended_in(commit)
            for (commit,) in found
        )

    def _appended_in(self, commit: str) -> list[str]:
        known = self.database.rows("select metadata->'$.appended' from dolt_log(?) limit 1", commit)[0][0]
        return list(json.loads(known)) if isinstance(known, str) else known or []

    def _end(self, state: str, **_: Any) -> None:
        """The record of the task ends with the task, not with its branch."""
