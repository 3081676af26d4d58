"""Reading and writing tables in a flow: `DoltDT`."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from stemma._database import OfRepo
from stemma._errors import InvalidError, NotFoundError, ReadOnlyError, StemmaError
from stemma.metaflow._appends import digest
from stemma.metaflow._audit import COPY, Audit, DoltAction, DoltConfig, copy_name, select_all
from stemma.metaflow._branch import TaskBranch
from stemma.metaflow._databases import open_config, remote_of, reopen
from stemma.metaflow._task import Task, current_task, flow_of, is_flow, run_uid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    import pandas as pd

    from stemma._answers import WriteResult
    from stemma._repo import Repo
    from stemma._runs import Rows

__all__ = ["DoltDT"]

APPENDING = ("append", "create_append")
"""The modes that put rows into a table twice when they are repeated."""

log = logging.getLogger(__name__)


class DoltDT:
    """Tables for a run of Metaflow: reads are of one commit, writes become one commit, and both are recorded.

    What it reads and where it writes follows from what it is given:

    - `config`: reads and writes at the configuration. Writing needs a running flow.
    - `run`, the path of a run or a `Run`, or `audit`, the artifact `dolt` of one: reads what that run read and wrote, as it was, by the keys
      that it used. Nothing can be written.
    - both: reads by the run or the audit, writes by the configuration: an old run's inputs, new results.

    `run=self` names the running flow. As a context manager, writes become one commit at the end of the `with`, and none of them happens when
    its body raises. Without one each write is a commit of its own. A task writes on a branch of its own, from the commit that it reads; at the
    end that comes into the branch of the configuration, merged with what others have committed there meanwhile.
    """

    def __init__(
        self,
        run: Any = None,
        audit: Mapping[str, Any] | None = None,
        config: DoltConfig | None = None,
    ) -> None:
        old: Any = None if run is None or is_flow(run) else run
        self._flow: Any = run if old is None else None
        self._task: Task | None = None
        if (task := current_task(self._flow)) is not None:
            self._flow = self._flow or flow_of(task)
            self._task = current_task(self._flow)
        if audit is None and old is not None:
            audit = _audit_of(old)
        if audit is None and config is None and is_flow(run):
            raise InvalidError("DoltDT(run=self) says no database", hint="config=DoltConfig(database=…) or audit=…")
        if audit is None and config is None:
            raise InvalidError(
                "DoltDT needs a run, an audit or a config", hint="DoltDT(run=Run('Flow/1')), DoltDT(config=DoltConfig(database=…))"
            )
        self._audit = audit
        self._repo: Repo | None = None
        self._config: DoltConfig | None = None
        if config is not None:
            self._repo, self._config = open_config(config)
        self._repos: dict[str, Repo] = {}
        self._started: dict[str, Repo] = {}
        self._actions: dict[str, DoltAction] = {}
        self._used: dict[str, DoltConfig] = {}
        self._frames: list[tuple[str, Any]] = []
        self._branch: TaskBranch | None = None
        self._whole: set[str] = set()  # the tables that were written as a whole
        self._inside = False

    # --- reading

    def read(self, table_name: str, as_key: str | None = None) -> pd.DataFrame:
        """Returns a table as a frame: as the audit has it, or at the commit of the configuration.

        Args:
            table_name: the table, or the key in the audit.
            as_key: what to call it in this run's audit; two reads of one table need two keys.

        """
        if self._audit is not None:
            old = self._old(table_name)
            return self._replay(dataclasses.replace(old, key=as_key or table_name), old.query if old.table_name is None else None)
        config = self._here("read")
        action = self._action(as_key or table_name, config, table_name=table_name, query=select_all(table_name))
        return self._take(action, config, self._repo_of(config), None)

    def sql(self, q: str, as_key: str) -> pd.DataFrame:
        """Returns the rows of a query over the tables of the configuration's commit.

        With an audit the query is of the commit that the audit has for this key.

        Args:
            q: the query.
            as_key: what to call it in the audit.

        """
        if self._audit is not None:
            if self._config is None:
                raise ReadOnlyError(
                    "an audit is read by its keys: read(key)", hint=f"it has {', '.join(self._audit['actions']) or 'none'}"
                )
            return self._replay(dataclasses.replace(self._old(as_key), query=q, table_name=None), q)
        config = self._here("sql")
        return self._take(self._action(as_key, config, query=q), config, self._repo_of(config), q)

    def diff(self, from_commit: str, to_commit: str, table: str | Sequence[str]) -> dict[str, pd.DataFrame]:
        """Returns the changes of tables between two commits, branches or tags: a frame a table, with `to_` and `from_` columns and `diff_type`."""
        config = self._here("diff")
        repo = self._repo_of(config)
        names = [table] if isinstance(table, str) else list(table)
        return {t: repo.sql("select * from dolt_diff(?, ?, ?)", params=[from_commit, to_commit, t]) for t in names}

    # --- writing

    def write(
        self,
        df: Any,
        table_name: str,
        pks: Sequence[str] | None = None,
        as_key: str | None = None,
        *,
        mode: str | None = None,
    ) -> WriteResult:
        """Makes a table equal to a frame; no row is left out.

        Named levels of the frame's index are columns. With a primary key only rows that differ are written; without one the table is keyless
        and is written anew.

        An append of a task that is tried again, or is part of a resumed run, is left out when an earlier attempt has brought one of the same
        rows, in the same order, into the same table and branch; each that is there stands for one. Where a task computes other rows when it
        is tried again (the time, random numbers), those are appended, and the ones of the earlier attempt stay: nothing is lost, and who wants
        none of them twice writes by a key, with `upsert`.

        Args:
            df: the frame.
            table_name: the table; it is made when it does not exist.
            pks: the columns of the primary key; None keeps the one that the table has.
            as_key: what to call it in the audit.
            mode: `append` or `upsert` rather than to make the table equal; `replace` takes the schema anew.

        Raises:
            ReadOnlyError: there is an audit and no configuration.
            InvalidError: no flow is running; the table has changes that nobody committed; a key was used before.

        """
        config = self._here("write")
        task = self._task
        if task is None:
            raise InvalidError(
                "write is for a running flow", hint="elsewhere: stemma.connect(database).write(df, table, message=…)"
            )
        key = as_key or table_name
        self._free(key)
        repo = self._repo_of(config)
        if self._branch is None:
            self._branch = TaskBranch(self._plain, task, config)
            self._branch.open()
        branch = self._branch
        at = repo.at(branch=branch.branch, run_alias=key)
        # What tells of the table is no read of the task's.
        chosen, keys = self._mode(self._plain.at(branch=branch.branch), table_name, pks, mode)
        record, mark, rows = None, branch.mark, df
        try:
            if mode in APPENDING and len(df):
                record = branch.append(table_name, key, digest(df, table_name))
                if record is None:
                    rows = df[:0]  # what an earlier attempt appended would be there twice
            result = at.write(rows, table_name, mode=chosen, primary_key=keys)  # type: ignore[arg-type]
            if record is not None:
                branch.appended.append(record)
            elif mode not in {*APPENDING, "upsert"}:
                self._whole.add(table_name)
                branch.wrote_whole(table_name)
        except BaseException:
            branch.forget(mark)
            if not self._inside:
                self._discard()
            raise
        self._keep(self._action(key, config, kind="write", table_name=table_name, query=select_all(table_name)), config, df)
        if not self._inside:
            self._land()
            self._store()
            self._end(None)
        return result

    def _mode(self, repo: Repo, table: str, pks: Sequence[str] | None, mode: str | None) -> tuple[str, list[str] | None]:
        """Returns how to write a table: by the key that it has or is given, or as a whole."""
        wanted = list(pks) if pks else None
        try:
            schema = repo.scan(table, rows=(0, 0)).schema  # as the task has written it so far
        except NotFoundError:
            return "create", wanted
        has = [str(k) for k in json.loads((schema.metadata or {}).get(b"stemma.primary_key", b"null")) or ()]
        if mode is not None:
            return mode, wanted
        if wanted is None or [k.lower() for k in wanted] == [k.lower() for k in has]:
            return ("merge", None) if has else ("replace", None)
        return "replace", wanted

    # --- runs

    def get_run(self, table: str, commit_or_branch: str | None = None, commit: str | None = None) -> str:
        """Returns the task, as `Flow/run/step/task`, that last changed a table, as a commit, branch or tag has it.

        Args:
            table: the table.
            commit_or_branch: where to look; None is the branch of the configuration.
            commit: the same, for calls that name it so.

        Raises:
            NotFoundError: no run made the table, or it is not known which.
            InvalidError: a merge of what several runs wrote made it; get_runs returns them.

        """
        found = self.get_runs(table, commit or commit_or_branch)
        if len(found) > 1:
            raise InvalidError(
                f"{table} is a merge of what {len(found)} runs wrote: {', '.join(found)}",
                hint="get_runs returns all of them",
                table=table,
            )
        return found[0]

    def get_runs(self, table: str, commit_or_branch: str | None = None) -> list[str]:
        """Returns the tasks that last changed a table: several when a merge joined what they wrote."""
        config = self._config
        if config is None or self._repo is None:
            raise InvalidError("get_run needs a config", hint="DoltDT(config=DoltConfig(database=…))")
        return _producers(self._repo, table, commit_or_branch or config.branch or "HEAD")

    # --- the context

    def __enter__(self) -> Self:
        if self._task is None:
            raise InvalidError(
                "the context manager is for a running flow", hint="outside of one call read, sql, diff and get_run without `with`"
            )
        self._inside = True
        self._before = set(vars(self._flow))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._inside = False
        if error is not None:
            self._discard()
            self._end(error)
            return
        try:
            self._land()
        except BaseException as e:
            self._end(e)
            raise
        self._name_artifacts()
        self._store()
        self._end(None)

    def _land(self) -> None:
        """Brings what was written into the branch of the configuration."""
        branch, self._branch = self._branch, None
        if branch is None:
            return
        branch.sources = self._sources()
        whole, self._whole = sorted(self._whole), set()
        written = [a for a in self._actions.values() if a.kind == "write" and a.commit is None]
        commit = branch.written(whole)
        if commit is not None and self._repo is not None:
            commit = self._repo.resolve(commit).commit  # the whole hash
        for a in written:
            a.commit = commit or branch.base  # tables that were equal already are as the task found them
        if commit is not None and self._config is not None and self._config.push_on_commit:
            self._push(self._config)

    def _push(self, config: DoltConfig) -> None:
        repo, remote = self._plain, remote_of(self._plain)
        try:
            repo.push(remote[0] if remote else None, str(config.branch))
        except StemmaError as e:
            raise type(e)(
                f"the task is committed on branch {config.branch} of {config.database}, but that could not be pushed: {e.message}",
                hint=f"when that is settled: stemma push {remote[0] if remote else 'origin'} {config.branch}",
                database=config.database,
            ) from e

    def _sources(self) -> list[tuple[Rows, str]]:
        """Returns where it is recorded what this task has read in other databases, and what tasks before it have whose artifacts it has."""
        task, here = self._task, self._plain
        assert task is not None  # noqa: S101
        used = _in_task.get((task.pathspec, task.attempt), {})
        out = [(repo, run_uid(task.pathspec)) for uri, repo in used.items() if uri != here.uri]
        for part in _kept_before(self._flow, copy_name(task.step, task.task)):
            reads = {(a["config_id"], a["pathspec"]) for a in part["actions"].values() if a["kind"] == "read" and a["pathspec"]}
            for config, pathspec in sorted(reads):
                try:
                    repo = reopen(DoltConfig(**part["configs"][config]), (self._config,) if self._config else ())
                except StemmaError as e:
                    log.warning("What %s read is not recorded with what %s wrote: %s", pathspec, task.pathspec, e)
                else:
                    out.append((repo, run_uid(pathspec)))
        return [(OfRepo(repo).rows, uid) for repo, uid in dict.fromkeys(out)]

    def _discard(self) -> None:
        branch, self._branch = self._branch, None
        self._whole.clear()
        if branch is not None:
            branch.give_up()

    # --- inside

    def _here(self, verb: str) -> DoltConfig:
        if self._config is None:
            raise ReadOnlyError(
                f"{verb} needs a config: an audit can only be read",
                hint="DoltDT(run=self, config=DoltConfig(…), audit=…) writes by the config",
            )
        return self._config

    def _old(self, key: str) -> DoltAction:
        assert self._audit is not None  # noqa: S101
        try:
            return DoltAction(**self._audit["actions"][key])
        except KeyError:
            raise NotFoundError(
                f"the run neither read nor wrote {key!r}", hint=f"it has {', '.join(self._audit['actions']) or 'nothing'}"
            ) from None

    def _replay(self, action: DoltAction, query: str | None) -> pd.DataFrame:
        """Reads again what an audit has."""
        assert self._audit is not None  # noqa: S101
        config = DoltConfig(**self._audit["configs"][action.config_id])
        if config.id not in self._repos:
            self._repos[config.id] = reopen(config, (self._config,) if self._config else ())
        repo = self._record(self._repos[config.id], config)
        again = dataclasses.replace(action, kind="read", pathspec=self._pathspec, artifact_name=None, timestamp=time.time())
        return self._take(again, config, repo, query)

    def _take(self, action: DoltAction, config: DoltConfig, repo: Repo, query: str | None) -> pd.DataFrame:
        self._free(action.key)
        at = repo.at(run_alias=action.key)
        frame = at.sql(query, ref=action.commit) if query is not None else at.read_pandas(str(action.table_name), action.commit)
        self._keep(action, config, frame)
        return frame

    def _action(self, key: str, config: DoltConfig, kind: str = "read", **known: Any) -> DoltAction:
        commit = config.commit if kind == "read" else None
        return DoltAction(key=key, config_id=config.id, pathspec=self._pathspec, commit=commit, kind=kind, **known)

    @property
    def _pathspec(self) -> str | None:
        return self._task.pathspec if self._task else None

    def _free(self, key: str) -> None:
        if self._inside and key in self._actions:
            raise InvalidError(
                f"the key {key!r} is taken: it names a {self._actions[key].kind} of this task",
                hint="give this one a name by as_key=…",
            )

    def _keep(self, action: DoltAction, config: DoltConfig, frame: Any) -> None:
        """Takes an action into the audit of the running task; a task that reads again without `with` keeps the last of a key."""
        self._actions[action.key] = action
        self._used[config.id] = config
        self._frames.append((action.key, frame))
        if self._task is not None and not self._inside and action.kind == "read":
            self._store()
            self._end(None)

    def _name_artifacts(self) -> None:
        made = {id(v): k for k, v in vars(self._flow).items() if k not in self._before}
        for key, frame in self._frames:
            self._actions[key].artifact_name = made.get(id(frame))
        self._frames.clear()

    def _store(self) -> None:
        """Keeps the actions with the task: a copy of its own, and the run's audit, which is equal in all tasks."""
        if self._task is None or not self._actions:
            return
        name = copy_name(self._task.step, self._task.task)
        kept = getattr(self._flow, name, None) or {"actions": {}, "configs": {}}
        kept["actions"].update({k: a.dict() for k, a in self._actions.items()})
        kept["configs"].update({c.id: c.dict() for c in self._used.values()})
        setattr(self._flow, name, kept)
        self._flow.dolt = Audit(self._task.run_path, kept)

    @property
    def _plain(self) -> Repo:
        """The database of the configuration, for nobody's run."""
        assert self._repo is not None  # noqa: S101
        return self._repo

    def _repo_of(self, config: DoltConfig) -> Repo:
        return self._record(self._plain, config)

    def _record(self, repo: Repo, config: DoltConfig) -> Repo:
        """Tells a database which task reads and writes, and returns it for that task."""
        task = self._task
        if task is None:
            return repo
        if repo.uri not in self._started:
            uid = run_uid(task.pathspec)
            repo.run_start(
                uid,
                system="metaflow",
                external_id=task.pathspec,
                parent=run_uid(task.run_path),
                job=f"{task.flow}/{task.step}",
                params=json.dumps(_parameters(self._flow), default=str, ensure_ascii=False),
                branch=config.branch,
                base=config.commit,
            )
            _in_task.setdefault((task.pathspec, task.attempt), {})[repo.uri] = repo
            self._started[repo.uri] = repo.at(run=uid, run_node=task.node, run_attempt=str(task.attempt))
        return self._started[repo.uri]

    def _end(self, error: BaseException | None) -> None:
        started, self._started = self._started, {}
        for repo in started.values():
            said = None if error is None else f"{type(error).__name__}: {error}"
            repo.run_end(str(repo._settings.run), state="COMPLETE" if error is None else "FAIL", error=said)

    def __repr__(self) -> str:
        parts = [f"config={self._config}"] if self._config else []
        if self._audit is not None:
            parts.append(f"audit of {', '.join(self._audit['actions']) or 'nothing'}")
        return f"DoltDT({', '.join(parts)})"


_in_task: dict[tuple[str, int], dict[str, Repo]] = {}
"""The databases that a task of this process has read or written, by its path and attempt."""


def _kept_before(flow: Any, own: str) -> list[Mapping[str, Any]]:
    """Returns what the tasks before this one, whose artifacts it has, have kept of what they read and wrote."""
    names = set(vars(flow)) | set(getattr(flow, "_datastore", None) or ())
    return [getattr(flow, n) for n in sorted(names) if n.startswith(COPY) and n != own]


def _audit_of(run: Any) -> Mapping[str, Any]:
    """Returns the audit of a run, given as a `Run` or as its path; of a path to a step or a task it is the whole run's."""
    path = run if isinstance(run, str) else getattr(run, "pathspec", None)
    if not isinstance(path, str) or path.count("/") < 1:
        raise InvalidError(f"{run!r} is no run of Metaflow", hint="a Run, or a path as 'Flow/1617810636925188'")
    return Audit("/".join(path.split("/")[:2]))


def _producers(repo: Repo, table: str, ref: str) -> list[str]:
    found = [r for r in repo.run_of(table, ref) if r.external_id]
    if not found:
        raise NotFoundError(f"no run is known to have made {table} at {ref}", table=table, ref=ref)
    if all(r.how == "hash" for r in found):
        log.warning("No run recorded the change of %s at %s; the run named left the same content elsewhere", table, ref)
    return list(dict.fromkeys(str(r.external_id) for r in found))


def _parameters(flow: Any) -> dict[str, Any]:
    """Returns the parameters of a flow by name."""
    from metaflow import current

    names = [p["name"] for p in current.graph["parameters"]]
    return {n: getattr(flow, n, None) for n in names}
