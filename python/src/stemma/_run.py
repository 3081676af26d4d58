"""A run in a database: its branch, its commit, and how that comes into the branch from which the run started."""

from __future__ import annotations

import logging
import random
import time
import uuid
from typing import TYPE_CHECKING, Any

from stemma import _runs
from stemma._errors import ConflictError, ExistsError, NotFoundError, StemmaError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from stemma._database import Database

__all__ = ["Run", "branch_name"]

LANDING = 120.0
"""Seconds for which a run tries to bring its commit into a branch that others keep moving."""

log = logging.getLogger(__name__)


def branch_name(run_id: str) -> str:
    """Returns the branch that a run works on."""
    return f"run/{run_id}"


class Run:
    """A run in one database.

    It works on a branch of its own. The target, the branch that it started from or was given, moves at the end and only forward, to the
    run's commit or to a merge of that with what others have committed there meanwhile. A conflict leaves the target as it is.

    Attributes:
        run_id: the id that the system gives the run.
        uid: the id under which the database records the run; None where it does not record runs.
        target: the branch that gets the commit.
        base: the commit at which the run began.
        branch: the run's branch; None when it only reads.
        commit: the target's commit after a run that has committed.
        sources, through, node: what the run was made from beside what this database has seen, as `_runs.carry` takes it.

    """

    system = "kedro"
    """What runs the run, as the record of runs has it."""

    def __init__(self, database: Database, run_id: str, uid: str | None = None) -> None:
        self.database = database
        self.run_id = run_id
        self.sources: list[tuple[_runs.Rows, str]] = []
        self.through: Mapping[str, Collection[str]] = {}
        self.node: str | None = None
        self._wanted = uid or str(uuid.uuid4())
        self.uid: str | None = None
        self.target = ""
        self.base = ""
        self.branch: str | None = None
        self.commit: str | None = None
        self._made_target = False
        self._author: tuple[str, ...] = ()

    def begin(self, target: str | None, *, writes: bool, about: Mapping[str, Any]) -> None:
        """Finds the commit to work from, makes the branch of a run that writes, and records the run.

        Args:
            target: the branch that gets the commit; None is the one the session is on. It is made when it does not exist.
            writes: whether the run writes to the database.
            about: what the record of the run says of it.

        Raises:
            ExistsError: another run has this id.
            NotFoundError: a run that only reads names a branch that does not exist.
            StemmaError: as the server says.

        """
        rows = self.database.rows
        at = _runs.start(rows, self.system, self.run_id)
        if at.other is not None:
            raise ExistsError(f"two runs with the id {self.run_id}: the database has one", hint=f"see run {at.other}")
        start = at.branch
        if start is None and target is None and writes:
            raise NotFoundError(f"{self.database.name} is at a commit, not on a branch", hint="name one: --params branch=…")
        self.target = target or start or "HEAD"
        if target is not None and not self._there(target):
            if not writes:
                raise NotFoundError(f"there is no branch {target!r}, and the run writes nothing to make one for", ref=target)
            self._make(target, start or "HEAD")
        self.base = at.head if target is None else self._head(self.target)
        if writes:
            branch = branch_name(self.run_id)
            try:
                rows("call dolt_branch(?, ?)", branch, self.base)
            except ExistsError:
                self._unmake()
                raise ExistsError(
                    f"two runs with the id {self.run_id}: there is a branch {branch} already",
                    hint="the other one is still at work, or was kept or killed; remove its branch when it is not needed: "
                    f"stemma branch -D {branch}",
                    ref=branch,
                ) from None
            self.branch = branch
        try:
            if at.records:
                self._record(about)
        except BaseException:
            self._drop()
            raise

    def _there(self, branch: str) -> bool:
        return bool(self.database.rows("select name from dolt_branches where name = ?", branch))

    def _make(self, target: str, start: str) -> None:
        try:
            self.database.rows("call dolt_branch(?, ?)", target, start)
            self._made_target = True
        except ExistsError:
            pass  # another run made it just now

    def _record(self, about: Mapping[str, Any]) -> None:
        self.uid = _runs.begin(
            self.database.rows,
            self._wanted,
            system=self.system,
            external_id=self.run_id,
            branch=self.target,
            base=self.base,
            **about,
        )

    def finish(self, message: str, metadata: Mapping[str, Any], replaced: Collection[str], author: str | None = None) -> str | None:
        """Commits what the run has written and brings it into the target. Returns the target's commit; None when nothing was written.

        Args:
            message: the commit's message.
            metadata: kept with the commit.
            replaced: tables that the run wrote as a whole. One of them without a primary key, which others have replaced meanwhile as
                well, is the run's and no mixture of the two.
            author: `Name <mail>`; None is the user of the session.

        Raises:
            ConflictError: others changed the same rows; the run's branch is kept, the target is as others left it.

        """
        if self.branch is None:
            self._end("COMPLETE")
            return None
        rows, branch = self.database.rows, self.branch
        try:
            options = [a for k, v in metadata.items() for a in ("--meta", f"{k}={_runs._text(v)}")]
            self._author = ("--author", author) if author else ()
            given = ["-A", "-m", message, "--skip-empty", *self._author, *options]
            self._carry()
            self.database.run = self.uid
            try:
                made = rows(f"call dolt_commit({', '.join('?' * len(given))})", *given, branch=branch)
            finally:
                self.database.run = None
            # Where there was nothing more to commit, the pipeline may have committed itself.
            head = str(made[0][0] or "") or self._head(branch)
            if head == self.base:
                self._drop_branch()
            else:
                self.commit = self._land(head, replaced)
        except BaseException as e:
            self._end("FAIL", error=str(e), quiet=True)
            raise
        self._end("COMPLETE", result_commit=self.commit)
        self._drop_branch()
        return self.commit

    def _carry(self) -> None:
        if self.uid is None or not (self.sources or self.through):
            return
        try:
            _runs.carry(self.database.rows, self.uid, self.sources, through=self.through, node=self.node)
        except StemmaError as e:
            log.warning("What the run %s read elsewhere is not recorded in %s: %s", self.run_id, self.database.name, e)

    def _head(self, branch: str) -> str:
        return str(self.database.rows("select hashof(?)", branch)[0][0])

    def _land(self, head: str, replaced: Collection[str]) -> str:
        """Brings the run's commit, the head of its branch, into the target. Returns where the target is then."""
        rows, branch = self.database.rows, str(self.branch)
        deadline = time.monotonic() + LANDING
        whole: dict[str, str] | None = None
        tip = self.base  # as long as nothing tells otherwise
        while True:
            try:
                if tip == self.base:
                    rows("call dolt_merge(?, '--ff-only')", branch, branch=self.target)
                    return head
                if whole is None:
                    whole = self._whole(replaced)
                if whole:
                    if rows("select dolt_merge_base(?, ?)", self.target, branch)[0][0] != tip:
                        self._take(tip, self._head(branch), whole)
                    head = self._head(branch)
                    rows("call dolt_merge(?, '--ff-only')", branch, branch=self.target)
                    return head
                # A merge that finds conflicts leaves the target as it is.
                given = (branch, "-m", f"Merge {branch} into {self.target}", *self._author)
                return str(rows(f"call dolt_merge({', '.join('?' * len(given))})", *given, branch=self.target)[0][0])
            except StemmaError as e:
                # What stands against each other does so however the target moves on; anything else may be its moving.
                against = "merge conflict" in str(e).lower()
                seen, tip = tip, self._head(self.target)
                if against or tip == seen or time.monotonic() > deadline:
                    raise self._kept(e) from e
                time.sleep(random.uniform(0, 0.02))  # noqa: S311 - so that runs which ended together do not meet again

    def _whole(self, replaced: Collection[str]) -> dict[str, str]:
        """Returns the tables without a primary key that the run has written anew, with their names in small letters as keys."""
        if not replaced:
            return {}
        changed = self._changed(self._head(str(self.branch)))
        keyed = {
            str(r[0]).lower()
            for r in self.database.rows(
                "select table_name from information_schema.table_constraints "
                "where constraint_type = 'PRIMARY KEY' and table_schema = database()",
                branch=self.branch,
            )
        }
        return {t.lower(): t for t in replaced if t.lower() in changed and t.lower() not in keyed}

    def _changed(self, commit: str) -> set[str]:
        """Returns the names, in small letters, of the tables that are others at a commit than where the run began."""
        found = self.database.rows("select to_table_name from dolt_diff_summary(?, ?)", self.base, commit)
        return {str(r[0]).lower() for r in found}

    def _take(self, tip: str, mine: str, whole: Mapping[str, str]) -> None:
        """Merges the target's commit into the run's branch. Tables of both that the run wrote as a whole are the run's."""
        rows, branch = self.database.rows, self.branch
        rows("call dolt_merge(?, '--no-commit')", tip, branch=branch)
        try:
            if own := sorted(whole[t] for t in self._changed(tip) & whole.keys()):
                rows(f"call dolt_checkout(?, {', '.join('?' * len(own))})", mine, *own, branch=branch)
            given = (f"Merge {self.target} into {branch}", *self._author)
            rows(f"call dolt_commit('-A', '-m', {', '.join('?' * len(given))})", *given, branch=branch)
        except BaseException:
            rows("call dolt_merge('--abort')", branch=branch)
            raise

    def _kept(self, error: StemmaError) -> StemmaError:
        conflict = isinstance(error, ConflictError) or "conflict" in str(error).lower()
        why = "its rows and those of others that came meanwhile stand against each other" if conflict else error.message
        checkout, merge = f"stemma checkout {self.target}", f"stemma merge {self.branch}"
        if conflict:
            # A merge with conflicts exits with an error, so that what follows it must not depend on it, but on the checkout it must.
            what = (
                f"settle it with: {checkout} && {{ {merge}; stemma conflicts resolve --theirs . && stemma commit -am resolved; }} "
                f"(with --ours the rows of {self.target} stay)"
            )
        else:
            what = f"when what is in the way is gone: {checkout} && {merge}"
        return (ConflictError if conflict else type(error))(
            f"the run {self.run_id} is committed on branch {self.branch}, but did not come into {self.target}: {why}",
            hint=f"the branch is kept; {what}",
            ref=self.branch,
        )

    def abandon(self, error: BaseException | None, *, keep: bool) -> None:
        """Ends a run that failed. Its branch goes, unless it is kept: then what it wrote is committed there.

        A database that cannot be reached any more is only warned of: the error of the run is what matters.
        """
        said = None if error is None else f"{type(error).__name__}: {error}"
        try:
            if self.branch is not None and keep:
                given = (
                    f"Failed {self.system} run: {self.run_id}",
                    "--skip-empty",
                    "--meta",
                    f"run_id={self.run_id}",
                    "--meta",
                    "failed=true",
                )
                self.database.rows(f"call dolt_commit('-A', '-m', {', '.join('?' * len(given))})", *given, branch=self.branch)
                log.warning("The run %s failed; what it wrote is kept on branch %s", self.run_id, self.branch)
            else:
                self._drop()
            self._end("FAIL" if error is not None else "ABORT", error=said)
        except StemmaError as e:
            log.warning("The run %s failed, and its branch %s could not be removed: %s", self.run_id, self.branch, e)

    def _drop(self) -> None:
        self._drop_branch()
        self._unmake()

    def _drop_branch(self) -> None:
        if self.branch is not None:
            self.database.rows("call dolt_branch('-D', ?)", self.branch)
            self.branch = None

    def _unmake(self) -> None:
        """Removes the target that this run made, if nothing has come to it."""
        if self._made_target and self.base and self._there(self.target) and self._head(self.target) == self.base:
            self.database.rows("call dolt_branch('-D', ?)", self.target)
            self._made_target = False

    def _end(self, state: str, *, error: str | None = None, result_commit: str | None = None, quiet: bool = False) -> None:
        if self.uid is None:
            return
        uid, self.uid = self.uid, None
        try:
            _runs.end(self.database.rows, uid, state, error=error, result_commit=result_commit)
        except StemmaError as e:
            if not quiet:
                raise
            log.warning("The run %s could not be recorded as %s: %s", self.run_id, state, e)
