"""What `dolt_integrations.core.interface` had."""

from __future__ import annotations

import dataclasses
import datetime as dt
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from doltcli import Dolt

__all__ = [
    "Action",
    "Branch",
    "CallbackMeta",
    "DoltMeta",
    "MergeBranch",
    "Meta",
    "NewBranch",
    "Remote",
    "SerialBranch",
    "action_meta",
    "load",
    "parse_branch_conf",
    "save",
]


@dataclass
class _Plain:
    """A configuration that goes to JSON and comes back."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields by name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, known: dict[str, Any]) -> Any:
        """Returns what to_dict has made a dict of."""
        return cls(**known)


class Branch:
    """The branch to work on: a callable that checks it out for a `with`, and the one that was checked out before after it."""

    @contextmanager
    def __call__(self, db: Dolt) -> Iterator[Dolt]:
        """Yields the database on the branch."""
        before = db.active_branch
        self.checkout(db)
        try:
            yield db
        finally:
            if db.active_branch != before:
                db.checkout(before)

    def checkout(self, db: Dolt) -> None:
        """Checks the branch out."""
        raise NotImplementedError

    def merge(self, db: Dolt, starting_branch: str) -> None:
        """Is called for nothing: what was written stays on its branch."""


@dataclass
class MergeBranch(_Plain, Branch):
    """Stays on the branch that is checked out; it never did more."""

    branch_from: str
    merge_to: str
    _type: str = "MergeBranch"

    def checkout(self, db: Dolt) -> None:
        """Checks nothing out."""


@dataclass
class SerialBranch(_Plain, Branch):
    """Works on a branch that exists. `master` is the default branch where no branch has that name."""

    branch: str = "master"
    _type: str = "SerialBranch"

    def checkout(self, db: Dolt) -> None:
        """Checks the branch out."""
        if self.branch == "master" and self.branch not in _branches(db):
            return
        if db.active_branch != self.branch:
            db.checkout(self.branch)


@dataclass
class NewBranch(_Plain, Branch):
    """Works on a branch that is made when it does not exist."""

    branch: str
    _type: str = "NewBranch"

    def checkout(self, db: Dolt) -> None:
        """Checks the branch out, or makes it."""
        if db.active_branch != self.branch:
            db.checkout(self.branch, checkout_branch=self.branch not in _branches(db))


def _branches(db: Dolt) -> set[str]:
    return {b.name for b in db.branch()[1]}


@dataclass
class Action(_Plain):
    """A load or a save: from which commit to which, on which branch, with which file."""

    from_commit: str
    to_commit: str
    branch: str
    filename: str
    timestamp: dt.datetime = field(default_factory=dt.datetime.now)
    context_id: str | None = None
    tablename: str | None = None
    sql: str | None = None
    kind: str | None = "load"
    meta: dict[str, Any] | None = None


class Meta:
    """Where actions are recorded: nowhere; they are returned."""

    def create(self, action: Action) -> Any:
        """Records an action and returns it as a dict."""
        return action.to_dict()


@dataclass
class DoltMeta(_Plain, Meta):
    """Records actions in a table, which is made when it does not exist."""

    db: Dolt
    tablename: str
    branch_config: Branch | None = None

    def create(self, action: Action) -> Any:
        """Records an action and returns it as a dict."""
        with (self.branch_config or SerialBranch(branch=self.db.active_branch))(self.db):
            name = "`" + self.tablename.replace("`", "``") + "`"
            self.db.sql(
                f"create table if not exists {name} (branch text, filename text, kind varchar(32), from_commit text, to_commit varchar(64), "
                "tablename varchar(255), timestamp datetime(6), context_id varchar(255), "
                "primary key (kind, to_commit, tablename, timestamp, context_id))"
            )
            a = action
            given = (a.kind, a.filename, a.branch, a.from_commit, a.to_commit, a.tablename or "", a.timestamp, a.context_id or "")
            columns = "kind, filename, branch, from_commit, to_commit, tablename, timestamp, context_id"
            self.db.sql(f"insert into {name} ({columns}) values ({', '.join(map(_literal, given))})")  # noqa: S608 - values are quoted
        return action.to_dict()


@dataclass
class CallbackMeta(_Plain):
    """Hands actions to a function."""

    fn: Callable[[dict[str, Any]], Any]

    def create(self, action: Action) -> Any:
        """Returns what the function makes of an action."""
        return self.fn(action.to_dict())


@dataclass
class Remote:
    """A remote; it was never used."""

    name: str | None = None
    url: str | None = None
    force: bool | None = False

    def pull(self, db: Dolt) -> None:
        """Does nothing."""

    def push(self, db: Dolt) -> None:
        """Does nothing."""


def _literal(value: Any) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def action_meta(
    filename: str,
    from_commit: str,
    to_commit: str,
    branch: str,
    kind: str,
    tablename: str | None = None,
    sql: str | None = None,
    context_id: str | None = None,
    meta_conf: Meta | CallbackMeta | None = None,
) -> Any:
    """Records an action, and returns what the record says; None without a record."""
    if meta_conf is None:
        return None
    action = Action(
        from_commit=from_commit,
        to_commit=to_commit,
        branch=branch,
        filename=filename,
        context_id=context_id,
        tablename=tablename,
        sql=sql,
        kind=kind,
    )
    return meta_conf.create(action)


def parse_branch_conf(conf: Any) -> Branch:
    """Returns a branch for what a configuration says: a Branch, a dict with `_type`, or nothing for the default branch."""
    if isinstance(conf, Branch):
        return conf
    if not isinstance(conf, dict) or "_type" not in conf:
        return SerialBranch()
    kinds: dict[str, Any] = {c.__name__: c for c in (MergeBranch, NewBranch, SerialBranch)}
    if conf["_type"] not in kinds:
        raise ValueError(f"branch_conf has the unknown _type {conf['_type']!r}; there are {', '.join(kinds)}")
    made: Branch = kinds[conf["_type"]](**conf)
    return made


def load(
    db: Dolt,
    filename: str,
    tablename: str | None = None,
    sql: str | None = None,
    load_args: dict[str, Any] | None = None,
    meta_conf: Meta | CallbackMeta | None = None,
    remote_conf: Remote | None = None,
    branch_conf: Any = None,
) -> Any:
    """Writes a table, or the rows of a query, to a CSV file, and returns what the record of it says.

    Args:
        db: the database.
        filename: the file.
        tablename: the table to write.
        sql: the query to write, in place of a table.
        load_args: more arguments of `Dolt.sql`.
        meta_conf: where it is recorded.
        remote_conf: has no effect, as in 2021.
        branch_conf: the branch to read.

    """
    if (tablename is None) == (sql is None):
        raise ValueError("load takes a tablename or a query, one of them")
    if remote_conf is not None:
        remote_conf.pull(db)
    with parse_branch_conf(branch_conf)(db):
        if tablename is not None:
            db.execute(["table", "export", "-f", "--file-type", "csv", tablename, filename])
        else:
            db.sql(query=sql, result_file=filename, result_format="csv", **(load_args or {}))
        commit, branch = db.head, db.active_branch
    return action_meta(filename, commit, commit, branch, "load", tablename=tablename, sql=sql, meta_conf=meta_conf)


def save(
    db: Dolt,
    tablename: str,
    filename: str,
    save_args: dict[str, Any] | None = None,
    meta_conf: Meta | CallbackMeta | None = None,
    remote_conf: Remote | None = None,
    branch_conf: Any = None,
    commit_message: str = "Automated commit",
) -> Any:
    """Makes a table equal to a CSV file, commits it, and returns what the record of it says. Nothing is committed when it was equal already.

    Args:
        db: the database.
        tablename: the table; it is made when it does not exist.
        filename: the file.
        save_args: `primary_key`: the columns of a new table's key.
        meta_conf: where it is recorded.
        remote_conf: has no effect, as in 2021.
        branch_conf: the branch to write.
        commit_message: the message.

    """
    if remote_conf is not None:
        remote_conf.pull(db)
    with parse_branch_conf(branch_conf)(db):
        before = db.head
        there = any(t.name == tablename for t in db.ls())
        command = ["table", "import", "--file-type", "csv", "-r" if there else "-c", tablename]
        keys = (save_args or {}).get("primary_key")
        if keys and not there:
            command += ["--pk", ",".join([keys] if isinstance(keys, str) else keys)]
        db.execute([*command, filename])
        db.add(tablename)
        if not db.status().is_clean:
            db.commit(commit_message)
        after, branch = db.head, db.active_branch
    return action_meta(filename, before, after, branch, "save", tablename=tablename, meta_conf=meta_conf)
