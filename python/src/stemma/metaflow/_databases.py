"""The databases that configurations name."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from stemma import _address
from stemma._answers import Settings
from stemma._default import shared
from stemma._errors import InvalidError, NotFoundError, UnsupportedError
from stemma._repo import connect
from stemma.metaflow._task import remote_runtime

if TYPE_CHECKING:
    from stemma._answers import Resolved
    from stemma._repo import Repo
    from stemma.metaflow._audit import DoltConfig

__all__ = ["open_config", "remote_of", "reopen"]


def open_config(config: DoltConfig) -> tuple[Repo, DoltConfig]:
    """Opens the database of a configuration, and returns it with what was left out: branch, commit, identity.

    Raises:
        InvalidError: a path in a task that runs on another machine.
        NotFoundError: no database, or no such branch or commit.
        UnsupportedError: the configuration asks for a database of DoltHub.

    """
    if config.dolthub_remote:
        raise UnsupportedError(
            "dolthub_remote is not offered: the databases of DoltHub are in Dolt's own format",
            hint="bring it in with `stemma ingest dolt`, and name the directory",
        )
    repo = _reach(config)
    remote = remote_of(repo)
    if config.push_on_commit and remote is None:
        raise NotFoundError(
            f"push_on_commit: {config.database} has no remote", hint="stemma remote add origin URL", database=config.database
        )
    at = repo.resolve("HEAD") if config.branch is None else _branch(repo, config.branch)
    branch = at.branch or repo.ping().get("branch")
    commit = at.commit if config.commit is None else repo.resolve(config.commit).commit
    known: dict[str, Any] = {"branch": branch, "commit": commit, "head": at.commit, "database_id": _identity(repo)}
    if remote is not None:
        known["remote"] = remote[1]
    return repo, dataclasses.replace(config, database=_place(config.database), **known)


def reopen(config: DoltConfig, others: tuple[DoltConfig, ...]) -> Repo:
    """Opens the database that an audit names: where it was, where one of the other configurations has it, or, on another machine, at its remote.

    Raises:
        NotFoundError: it is at none of these places, or the remote has not got the commit.

    """
    try:
        repo = _reach(config)
    except NotFoundError as e:
        problem = e
    else:
        if config.database_id not in {None, _identity(repo)}:
            problem = NotFoundError(f"{config.database} is another database than the one that the run used")
        elif _knows(repo, config.commit):
            return repo
        else:
            problem = NotFoundError(f"{config.database} has not got the commit {config.commit}")
    for other in others:
        repo = _reach(other)
        if config.database_id is not None and _identity(repo) == config.database_id:
            if _knows(repo, config.commit):
                return repo
            problem = NotFoundError(
                f"{problem.message}, and {other.database}, a clone of it, has not got the commit {config.commit}"
            )
    if config.remote is not None:
        return _at_remote(config, problem)
    raise NotFoundError(
        f"the audit is of the database {config.database} at commit {config.commit}, which is not here: {problem.message}",
        hint="name a clone of it that has the commit: DoltDT(..., config=DoltConfig(database=…)); push it from where the run was made, and fetch",
        database=config.database,
        ref=config.commit,
    )


def _knows(repo: Repo, commit: str | None) -> bool:
    """Tells whether a database has a commit; None is none in particular."""
    if commit is None:
        return True
    try:
        repo.resolve(commit)
    except NotFoundError:
        return False
    return True


def _at_remote(config: DoltConfig, problem: NotFoundError) -> Repo:
    """Opens a copy of the remote of a database that is not here; it fetches what is read."""
    url = str(config.remote)
    try:
        repo = connect(url)
    except NotFoundError as e:
        raise NotFoundError(
            f"{problem.message}, and at the remote {url} there is nothing: {e.message}",
            hint="name a clone of the database: DoltDT(..., config=DoltConfig(database=…))",
            database=config.database,
        ) from None
    if config.database_id is not None and _identity(repo) != config.database_id:
        raise NotFoundError(
            f"{problem.message}, and {url} is another database by now",
            hint="name a clone of it: DoltDT(..., config=DoltConfig(database=…))",
            database=config.database,
        )
    if not _knows(repo, config.commit):
        repo.fetch()
        if not _knows(repo, config.commit):
            raise NotFoundError(
                f"{problem.message}, and the remote {url} has not got the commit {config.commit}",
                hint="push it from where the run was made: stemma push --all",
                database=config.database,
                ref=config.commit,
            )
    return repo


def _reach(config: DoltConfig) -> Repo:
    address = _address.parse(config.database)
    if address.directory is not None:
        if (where := remote_runtime()) is not None:
            raise InvalidError(
                f"{config.database} is a path, and this task runs on {where}, where that directory is not",
                hint="serve the database (stemma serve) and name it by stemma://host:port/database; see docs/metaflow.md",
                database=config.database,
            )
        from pathlib import Path

        if _address.database_directory(Path(address.directory)) is None:
            raise NotFoundError(
                f"there is no database in {address.directory}",
                hint="make one there: stemma init, or dolt init",
                database=config.database,
            )
    return shared(address, Settings(address.database, address.branch, address.ref))


def _place(database: str) -> str:
    """Returns a path as one that holds wherever it is read, and a URI as it is."""
    return _address.parse(database).directory or database


def _branch(repo: Repo, name: str) -> Resolved:
    at = repo.resolve(name)
    if at.branch is None and name == "master":
        # As everywhere: the default branch where no branch has that name.
        return repo.resolve(str(repo.ping()["branch"]))
    if at.branch is None:
        raise InvalidError(f"{name!r} is no branch but a commit or a tag", hint=f"DoltConfig(commit={name!r}) reads it", ref=name)
    return at


def remote_of(repo: Repo) -> tuple[str, str] | None:
    """Returns the name of a database's remote and its URL, without a password: origin, or the first by name; None when it has none."""
    found = repo.query("select name, url from dolt_remotes order by name <> 'origin', name limit 1").read_all().to_pylist()
    return (str(found[0]["name"]), re.sub(r"(//[^/@:]*):[^/@]*@", r"\1@", str(found[0]["url"]))) if found else None


_identities: dict[str, str | None] = {}


def _identity(repo: Repo) -> str | None:
    """Returns the first commit of a database; of several the one whose hash is the least."""
    if repo.uri not in _identities:
        found = repo.query("select commit_hash from dolt_commit_ancestors where parent_hash is null order by 1 limit 1").read_all()
        _identities[repo.uri] = found.column(0)[0].as_py() if found.num_rows else None
    return _identities[repo.uri]
