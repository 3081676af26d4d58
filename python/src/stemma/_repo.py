"""A database: its settings, its verbs, its transactions."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemma import _address, _ops, _results
from stemma._answers import Settings
from stemma._errors import ExistsError, InvalidError, NotFoundError, StemmaError, TooNewError, UnavailableError
from stemma._partition import Partition
from stemma._tables import Reads, check_metadata, check_ref, whole
from stemma._transport.client import Client
from stemma._transport.http2 import LostError
from stemma._version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from stemma._answers import Resolved

PROTOCOL = 1
"""The version of what client and server say to each other."""


class Repo(Reads, _ops.Verbs):
    """A database of a directory or a server. The verbs of stemma are methods: log, branch, merge, diff and the others.

    It can be used by many threads, after a fork, and can be pickled: it is an address and settings, and connects when it is called.
    """

    def __init__(self, address: _address.Address, settings: Settings) -> None:
        self._address = address
        self._settings = settings
        self._client = Client(address)

    def __reduce__(self) -> tuple[Any, ...]:
        return Repo, (self._address, self._settings)

    @property
    def uri(self) -> str:
        """Where the database is: a directory, or the URI of a server or a remote, without a password."""
        return str(self._address)

    def at(
        self,
        *,
        branch: str | None = None,
        ref: str | None = None,
        database: str | None = None,
        author: str | None = None,
        run: str | None = None,
        run_node: str | None = None,
        run_attempt: str | None = None,
        run_alias: str | None = None,
    ) -> Repo:
        """Returns the same database with other settings: of another branch, as of a ref, or for a run and a part of it."""
        known = {"branch": branch, "ref": ref, "database": database, "author": author}
        known |= {"run": run, "run_node": run_node, "run_attempt": run_attempt, "run_alias": run_alias}
        given = {k: v for k, v in known.items() if v is not None}
        out = Repo.__new__(Repo)
        out._address, out._settings, out._client = self._address, dataclasses.replace(self._settings, **given), self._client
        return out

    def close(self) -> None:
        """Closes the connections. The owner of a directory ends by itself when nobody is connected."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ping(self) -> dict[str, Any]:
        """Returns what the server says of itself: version, protocol, databases, and the database and branch that calls are about."""
        found: dict[str, Any] = self._client.action("stemma.ping", {}, self._headers(), safe=True)
        return found

    def partitions(self, table: str, ref: str | None = None, n: int = 8) -> list[Partition]:
        """Returns a table at a ref in n parts of about equal rows, each of which can be pickled and read on its own.

        All parts are of one commit, whatever is written meanwhile. Without a ref it is HEAD; a table with uncommitted changes is refused then.
        """
        parts = whole(n, 1)
        if parts is None:
            raise InvalidError(f"partitions: n is {n!r}, not a number from 1")
        check_ref(ref)

        def cut(on: Repo, name: str, at: str | None) -> list[Partition]:
            if at is None and on._settings.ref is None:
                at = on._committed(name)
            asked = {"table": name, "ref": at, "n": parts}
            found = on._client.action("stemma.partitions", asked, on._headers(), safe=True)
            return [
                Partition(on._address, on._settings, name, found["commit"], p["from"], p["to"], p.get("first"), p.get("last"))
                for p in found["partitions"]
            ]

        return self._noted(table, ref, cut)

    def _committed(self, table: str) -> str | None:
        """Returns HEAD, if the table is there as it is in the working set."""
        now = self.resolve("WORKING", table)
        head = self.resolve("HEAD")
        try:
            same = self.resolve(str(head.commit), table).table_hash == now.table_hash
        except NotFoundError:
            same = False
        if not same:
            raise InvalidError(
                f"partitions of {table}: it has uncommitted changes, and parts are of one commit",
                hint="commit them, or name a ref: partitions(table, 'HEAD')",
                table=table,
            )
        return head.commit

    def _in(self, database: str) -> Reads:
        return self.at(database=database)

    def transaction(
        self, message: str | None = None, *, branch: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> Transaction:
        """Returns a transaction, for a `with`: what is written in it becomes one commit with the message, or nothing when the body fails.

        Without a message the changes are left uncommitted.
        """
        if message is not None and not isinstance(message, str):
            raise InvalidError(f"the message of a transaction is text, not {message!r}")
        check_metadata(metadata, "transaction")
        return Transaction(self, message, branch, metadata)

    def _op(self, op: str, row: type[_ops.R], args: Mapping[str, Any]) -> _results.Result[_ops.R]:
        given = {k: argument(v) for k, v in args.items() if v is not None and v is not False and v != ()}
        if "diff_mode" in args:
            given.setdefault("diff_mode", "row")  # cells are values; other modes draw them as texts
        body = {"op": op, "args": given, "dir": str(Path.cwd())}
        if op in _CLOSED and any(given.get(k) for k in _CLOSED[op]) and self._address.directory is not None:
            return self._apart(op, row, given)
        call = functools.partial(self._client.action, "stemma.op", body, self._headers())
        before = self._head(given) if op == "commit" else None
        try:
            done = _results.parse(op, row, call(safe=op in _ops.READ_ONLY))
            return dataclasses.replace(done, hints=_in_python(op, done.hints)) if done.hints else done
        except LostError as e:
            if e.unbegun:
                raise
            if before is not None:
                after = self._head(given)
                if after is not None and after.commit == before.commit:
                    return _results.parse(op, row, call(safe=False))
                if after is not None and self._made(after, before, given):
                    wire = {"columns": [{"name": "hash", "type": "text"}], "rows": [[after.short]]}
                    return _results.parse(op, row, wire)
            raise UnavailableError(
                f"the connection broke before {op} was answered",
                hint="it may have been done or not: see log() and status()",
                database=self._settings.database,
            ) from e
        except StemmaError as e:
            _say_in_python(op, e)
            raise

    def _apart(self, op: str, row: type[_ops.R], given: Mapping[str, Any]) -> _results.Result[_ops.R]:
        """Has a process of its own carry out a verb on a directory that nobody may have open."""
        self._client.leave()
        return perform(op, row, given, self._address.directory)

    def _head(self, args: Mapping[str, Any]) -> Resolved | None:
        """Returns the head of the branch that a commit goes to; None where there is none."""
        repo = self.at(branch=str(args["branch"])) if "branch" in args else self
        try:
            return repo.resolve("HEAD")
        except NotFoundError:
            return None

    def _made(self, after: Resolved, before: Resolved, args: Mapping[str, Any]) -> bool:
        """Tells whether the head is what our commit, of which no answer came, has made."""
        last = self.log(str(after.commit), number=1)[0]
        return last.message == args.get("message") and last.parents == before.short

    def __repr__(self) -> str:
        s = self._settings
        return f"stemma.Repo({', '.join([repr(self.uri), *(f'{k}={v!r}' for k, v in dataclasses.asdict(s).items() if v is not None)])})"

    def _repr_html_(self) -> str:
        import html

        try:
            said = self.ping()
            tables = self.ls()
        except StemmaError as e:
            return f"<b>{html.escape(self.uri)}</b><p>{html.escape(str(e))}</p>"
        head = f"<b>{html.escape(self.uri)}</b> database {html.escape(str(said.get('database')))}, branch {html.escape(str(said.get('branch')))}"
        return f"<p>{head}</p>{tables._repr_html_()}"


class Transaction(Reads):
    """Writes and statements that become one commit. `commit_hash` is that commit after the `with`; None when nothing was written."""

    commit_hash: str | None = None

    def __init__(self, repo: Repo, message: str | None, branch: str | None, metadata: Mapping[str, Any] | None) -> None:
        self._repo = repo
        self._client = repo._client
        self._settings = repo._settings if branch is None else dataclasses.replace(repo._settings, branch=branch)
        self._message = message
        self._metadata = metadata
        self._state = "not begun"

    def __repr__(self) -> str:
        state = f"commit {self.commit_hash}" if self.commit_hash else self._state
        return f"stemma.Transaction({self._message!r}, {state})"

    def _headers(self) -> dict[str, str]:
        if self._settings.transaction is None:
            raise InvalidError(f"the transaction is {self._state}", hint="use it inside its with statement, or its database")
        return super()._headers()

    def __enter__(self) -> Self:
        if self._state != "not begun":
            raise InvalidError(f"the transaction is {self._state}", hint="begin another one")
        asked = {"message": self._message, "branch": self._settings.branch}
        begun = self._client.action("stemma.begin", asked, self._settings.headers(), safe=True)
        self._settings = dataclasses.replace(self._settings, transaction=begun["transaction"])
        self._state = "open"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        end = {
            "transaction": self._settings.transaction,
            "commit": kind is None,
            "message": self._message,
            "metadata": None if self._metadata is None else dict(self._metadata),
            "write_id": f"py-{uuid.uuid4().hex}",
        }
        self._settings = dataclasses.replace(self._settings, transaction=None)
        self._state = "over" if kind is None else "rolled back"
        try:
            self.commit_hash = self._client.action("stemma.end", end, self._settings.headers(), safe=True).get("commit")
        except StemmaError:
            # What the body failed of is what the caller wants to know; a transaction that nobody ends is rolled back.
            if kind is None:
                raise


def connect(
    uri: str | os.PathLike[str] | None = None,
    *,
    database: str | None = None,
    branch: str | None = None,
    ref: str | None = None,
    author: str | None = None,
    run: str | None = None,
    create: bool = False,
) -> Repo:
    """Connects to a database.

    A path is a directory: the process that owns it answers, and is started when there is none. `stemma://host:port/database` and
    `grpc://host:port` are servers. `gs://bucket/path`, `s3://…`, `az://…`, `https://host:port/database` and `file:///path` of a remote are
    worked on without a clone: only what is asked for is read, and kept in `~/.cache/stemma` for later. What is written is written there, where
    others may write at the same time: of two who change the same, one gets a ConflictError. At `https://…` nothing can be written. The copy is
    one for all processes of the user, and its branches become what they are there all the time: name a ref, such as a tag or a
    commit, for reads that agree. Without a uri it is that of STEMMA_URI, of `database` in stemma.yaml, or the working directory.

    Args:
        uri: where the database is.
        database: the database of a server that has several.
        branch: the branch to work on.
        ref: what reads see when they name no ref.
        author: `Name <mail>` for commits; STEMMA_AUTHOR_NAME and STEMMA_AUTHOR_EMAIL otherwise.
        run: the id of a run, kept with commits.
        create: makes a new database in the directory, or at the bucket's URL, when there is none. `file:///path` is a directory here: at a path to
            which others are to push, make one with `stemma init file:///path`.

    """
    address = _address.parse(_address.default() if uri is None else uri)
    if create and address.remote is not None:
        from stemma import _owner

        if address.remote.startswith("http"):
            raise InvalidError(
                f"{address} is the database of a server, which makes it",
                hint="CREATE DATABASE there, or connect to a path or a bucket",
            )
        with contextlib.suppress(ExistsError):
            _owner.run(["init", address.remote], f"a database at {address} could not be made", _owner.START)
    if create and address.directory is not None:
        from stemma import _owner

        if _address.database_directory(Path(address.directory)) is None:
            Path(address.directory).mkdir(parents=True, exist_ok=True)
            _owner.run(["init"], f"a database in {address.directory} could not be made", _owner.START, cwd=address.directory)
    name, mail = os.environ.get("STEMMA_AUTHOR_NAME"), os.environ.get("STEMMA_AUTHOR_EMAIL")
    if author is None and name and mail:
        author = f"{name} <{mail}>"
    if author is not None and not re.fullmatch(r".*\S <[^<>]*>", author):
        raise InvalidError(f"the author {author!r} is not of the form 'Name <mail>'")
    check_ref(ref)
    repo = Repo(address, Settings(database or address.database, branch or address.branch, ref or address.ref, author, run))
    try:
        said = repo.ping()
    except BaseException:
        repo.close()
        raise
    if said.get("protocol") != PROTOCOL:
        repo.close()
        older = isinstance(said.get("protocol"), int) and said["protocol"] < PROTOCOL
        raise TooNewError(
            f"stemma {said.get('version')} at {repo.uri} and this client {__version__} do not understand each other: "
            f"the {'program' if older else 'client'} is the older one",
            hint="install the client and the program of one version; a program that runs must be started anew",
        )
    if said.get("database") is None and (repo._settings.database or repo._settings.branch or repo._settings.ref):
        try:
            repo.resolve()  # says which of them is not there
        except BaseException:
            repo.close()
            raise
    return repo


_CLOSED = {"fsck": ("repair", "revive_journal_with_data_loss")}
"""The verbs that work on a database which no process has open, when one of these parameters is given."""


def perform(op: str, row: type[_ops.R], given: Mapping[str, Any], directory: str | None = None) -> _results.Result[_ops.R]:
    """Has a process of its own carry out a verb: one without a database, or one on a directory that nobody has open."""
    from stemma import _owner

    try:
        done = _results.parse(op, row, _owner.perform(op, given, directory))
    except StemmaError as e:
        _say_in_python(op, e)
        raise
    return dataclasses.replace(done, hints=_in_python(op, done.hints)) if done.hints else done


def _say_in_python(op: str, e: StemmaError) -> None:
    """Makes an error of a verb say what it says in the words of Python."""
    (e.message,) = _in_python(op, [e.message])
    if e.hint:
        (e.hint,) = _in_python(op, [e.hint])
    e.args = (e.message,)


def _in_python(op: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Returns what the program says of a verb in the words of Python."""
    if not any("-" in t or "'" in t or "stemma " in t for t in texts):
        return tuple(texts)
    from stemma._words import in_python

    return tuple(in_python(op, t) for t in texts)


def argument(v: Any) -> Any:
    """Returns an argument of a verb as JSON has it."""
    import datetime as dt

    if isinstance(v, (tuple, set, frozenset)):
        return [str(x) for x in v]
    if isinstance(v, dt.timedelta):
        return f"{v.total_seconds():f}s"
    if isinstance(v, (dt.datetime, dt.date)):
        return v.isoformat()
    if isinstance(v, os.PathLike):
        return os.fspath(v)
    return v
