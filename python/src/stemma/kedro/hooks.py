"""Hooks that give each Kedro run a branch of its own, one commit, and a record of what it read and wrote."""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
import uuid
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from stemma import _code
from stemma._errors import ExistsError, InvalidError, StemmaError
from stemma._run import Run
from stemma.kedro import _catalog, _lock, _plain
from stemma.kedro._binding import Binding, loading
from stemma.kedro.datasets import TableDataset, _Dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["StemmaHooks", "hooks"]

LARGEST = 1 << 16
"""Parameters of more bytes than this as JSON are not kept with a commit; those given on the command line are."""

WISHES = ("branch", "keep_failed", "locked")
"""The parameters below `stemma` that runs take."""

log = logging.getLogger(__name__)


@dataclass
class _Part:
    """What a run has to do with one database."""

    run: Run
    datasets: list[tuple[str, Any]] = field(default_factory=list)
    undo: list[Callable[[], None]] = field(default_factory=list)


@dataclass
class _State:
    """A run while it lasts: its databases."""

    parts: list[_Part] = field(default_factory=list)
    wishes: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    project: Path = Path()
    process: int = field(default_factory=os.getpid)


_known_hooks: weakref.WeakSet[StemmaHooks] = weakref.WeakSet()


@atexit.register
def _interrupted() -> None:
    """Ends runs that Kedro told no end of: it does not at an interrupt."""
    for h in list(_known_hooks):
        h._interrupted()


class StemmaHooks:
    """The hooks of a project; put an instance into `HOOKS` of its settings.

    A run works on the branch `run/<run id>`, which begins at the newest commit of its target: the branch that the session is on, or the one
    that `--params branch=…` names, which is made when it does not exist. All that the run reads is of that commit and of what it has written
    itself. At its end it makes one commit, or none when nothing was written, and the target is moved to it; what others have committed
    there meanwhile is merged. A run that fails leaves nothing. Each run is by itself, whatever other runs do at the same time, in this
    process or another.

    Args:
        database: the database by name; also datasets of other libraries, as `pandas.SQLTableDataset`, whose URL names it are sent to the
            run's branch then. None is every database of stemma's own datasets.
        branch: the target of runs without the parameter `branch`; None is the branch that the session is on.
        port, host, user, password: where the database is, for MySQL's protocol, when no dataset of the catalog tells.
        keep_failed: whether the branch of a run that fails is kept, with what it wrote. `--params stemma.keep_failed=true` does so for one.
        trailers: whether the commit's message ends with the run's metadata, as trailers of JSON. It is beside the message in any case.

    """

    def __init__(  # noqa: PLR0917 - the order is that of 2021
        self,
        database: str | None = None,
        branch: str | None = None,
        port: int = 3306,
        host: str = "localhost",
        user: str = "root",
        password: str = "",
        *,
        keep_failed: bool = False,
        trailers: bool = False,
    ) -> None:
        self._database = database
        self._branch = branch
        self._server = (host, port, user, password)
        self._keep_failed = keep_failed
        self._trailers = trailers
        self._states: dict[str, _State] = {}
        self._lock = threading.Lock()
        _known_hooks.add(self)

    def _commit_message(self, run_params: dict[str, Any]) -> str:
        """Returns the message of a run's commit; subclasses say it otherwise.

        Args:
            run_params: Kedro's, with the parameters of the command line both as `runtime_params` and as `extra_params`, and `run_id`.

        """
        return f"Update from kedro run: {run_params['run_id']}"

    # --- hooks

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Begins a run in each database that the pipeline has to do with."""
        self._begin(run_params, pipeline, catalog)

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Commits what the run has written, and brings it into the target."""
        self._finish(run_params["run_id"], lambda: self._commit_message(_known(run_params)))

    @hook_impl
    def on_pipeline_error(self, error: Exception, run_params: dict[str, Any]) -> None:
        """Removes what a failed run has written, or keeps it on the run's branch."""
        state = self._take(run_params["run_id"])
        if state is not None:
            _abandon(state, error)

    @hook_impl
    def before_dataset_loaded(self, node: Any) -> None:
        """Notes for which node of the pipeline a dataset is loaded."""
        loading.set(node.name)

    @hook_impl
    def after_dataset_loaded(self) -> None:
        """Ends what before_dataset_loaded noted."""
        loading.set(None)

    # --- runs

    def _begin(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        run_id = run_params["run_id"]
        found = list(self._datasets(run_id, pipeline, catalog))
        if not found:
            return
        state = _State(wishes={"branch": self._branch, "keep_failed": self._keep_failed, **_wishes(run_params)})
        with self._lock:
            if run_id in self._states:
                raise ExistsError(f"two runs with the id {run_id}: one is at work in this process")
            self._states[run_id] = state
        try:
            self._parts(state, run_params, found, pipeline, catalog)
        except BaseException as e:
            self._take(run_id)
            _abandon(state, e)
            raise

    def _parts(self, state: _State, run_params: dict[str, Any], found: list[tuple[str, Any]], pipeline: Any, catalog: Any) -> None:
        known = _known(run_params)
        project = Path(str(run_params.get("project_path") or Path.cwd()))
        code = _code.git(project)
        state.project = project
        state.metadata = _metadata(known, _parameters(known, catalog), code)
        about = {
            "job": f"{project.name}.{'+'.join(_pipelines(known))}",
            "params": state.metadata["params"],
            "git_sha": code[0],
            "git_dirty": code[1],
        }
        locked = _lock.read(project / _lock.NAME) if state.wishes.get("locked") else {}
        outputs, nodes = pipeline.all_outputs(), _nodes(pipeline)
        # Those of other libraries do not tell for which node they are read.
        through = _through(pipeline, {name for name, dataset in found if isinstance(dataset, _Dataset)})
        uid = str(uuid.uuid4())
        for place in _catalog.databases(found, self._database):
            datasets = place.datasets
            part = _Part(Run(place.database, run_params["run_id"], uid), datasets)
            writes = any(name in outputs for name, _ in datasets)
            savers = {nodes[0][name] for name, _ in datasets if name in outputs}
            part.run.through = {k: v for k, v in through.items() if k in savers}
            part.run.begin(state.wishes["branch"], writes=writes, about=about)
            state.parts.append(part)
            for name, dataset in datasets:
                if name in outputs and isinstance(dataset, _Dataset) and dataset._ref is not None:
                    raise InvalidError(
                        f"dataset {name!r} is an output of the pipeline, and the catalog reads it at {dataset._ref!r}",
                        hint="a dataset with a ref is read only",
                    )
            _bind(part, nodes, {k: e.commit for k, e in locked.items() if k not in outputs})

    def _datasets(self, run_id: str, pipeline: Any, catalog: Any) -> Iterator[tuple[str, Any]]:
        """Returns the pipeline's datasets that are of the hooks' databases and that no other hooks have taken."""
        for name in sorted(pipeline.datasets()):
            if name not in catalog:
                continue
            dataset = _catalog.unwrapped(catalog.get(name))
            if isinstance(dataset, _Dataset):
                bound = dataset._binding
                if bound is not None and bound.run_id == run_id:
                    continue
                if bound is not None:
                    raise InvalidError(
                        f"dataset {name!r} is part of the run {bound.run_id} already", hint="give each run a catalog of its own"
                    )
                yield name, dataset
            elif self._database is not None and _catalog.same(_plain.database(dataset), self._database):
                yield name, dataset

    def _finish(self, run_id: str, message: Callable[[], str]) -> None:
        """Ends a run that went well, with a commit of this message in each of its databases."""
        state = self._take(run_id)
        if state is None:
            return
        try:
            said = message()
        except BaseException as e:
            _abandon(state, e)
            raise
        if self._trailers:
            said += "\n\n" + "\n".join(f"{_trailer(k)}: {json.dumps(v, default=str)}" for k, v in state.metadata.items())
        failed: StemmaError | None = None
        for part in state.parts:
            part.run.sources = [(p.run.database.rows, p.run.uid) for p in state.parts if p is not part and p.run.uid is not None]
        for part in state.parts:
            replaced = {name for _, ds in part.datasets if (name := _replaces(ds)) is not None}
            try:
                part.run.finish(said, state.metadata, replaced, _code.author(state.project, part.run.database.name))
            except StemmaError as e:
                log.error("%s", e)  # noqa: TRY400 - it is raised below; a second database's would be lost
                failed = failed or e
            finally:
                _release(part, part.run.target)
        for part in state.parts:
            part.run.database.close()  # a later one may have looked at it again
        if failed is not None:
            raise failed

    def _take(self, run_id: str) -> _State | None:
        with self._lock:
            return self._states.pop(run_id, None)

    def _interrupted(self) -> None:
        for run_id in list(self._states):
            state = self._take(run_id)
            if state is not None and state.process == os.getpid():
                _abandon(state, None)


class _Plugin(StemmaHooks):
    """The hooks that come with the package. Those of the project's settings go before."""

    @hook_impl(trylast=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Begins a run in each database that no other hooks have taken."""
        self._begin(run_params, pipeline, catalog)


hooks = _Plugin()
"""What the entry point `kedro.hooks` names."""


def _bind(part: _Part, nodes: tuple[Mapping[str, str], Mapping[str, str]], locked: Mapping[str, str]) -> None:
    """Sends the datasets of a part to its run; those that are locked are read at that commit."""
    run = part.run
    savers, loaders = nodes
    refs = {d._ref for _, d in part.datasets if isinstance(d, _Dataset) and d._ref is not None}
    pins = {ref: str(run.database.rows("select hashof(?)", ref)[0][0]) for ref in refs}
    ref = None if run.branch is not None else run.base
    for name, dataset in part.datasets:
        node = savers.get(name) or loaders.get(name)
        if isinstance(dataset, _Dataset):
            at = {**pins, dataset._ref: locked[name]} if name in locked and dataset._ref is not None else pins
            dataset._binding = Binding(run.run_id, run.uid, run.branch, locked.get(name, ref), at, name, node)
        else:
            setting = {"stemma_run": run.uid, "stemma_run_alias": name, "stemma_run_node": node} if run.uid else {}
            part.undo.append(_plain.redirect(dataset, run.branch or run.base, setting))
    run.database.close()  # a run may last longer than a server waits


def _release(part: _Part, target: str | None) -> None:
    """Takes the datasets back from a run. Those of stemma are at its target afterwards, where what it wrote is."""
    for _, dataset in part.datasets:
        if isinstance(dataset, _Dataset):
            dataset._binding, dataset._after = None, target
    while part.undo:
        part.undo.pop()()
    part.run.database.close()


def _abandon(state: _State, error: BaseException | None) -> None:
    for part in state.parts:
        try:
            part.run.abandon(error, keep=state.wishes["keep_failed"])
        finally:
            _release(part, None)


def _wishes(run_params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the parameters of the command line say to the hooks: branch, and those below `stemma`."""
    given = run_params.get("runtime_params") or run_params.get("extra_params") or {}
    own = given.get("stemma") or {}
    if not isinstance(own, dict):
        raise InvalidError(f"the parameter stemma is {own!r}", hint="as in --params stemma.branch=new")
    for key in own:
        if key not in WISHES:
            raise InvalidError(f"there is no parameter stemma.{key}", hint=f"there are {', '.join(f'stemma.{w}' for w in WISHES)}")
    out: dict[str, Any] = {}
    branch = own.get("branch", given.get("branch"))
    if branch is not None and branch != "":
        # The command line has made numbers of names such as 2026.
        out["branch"] = str(branch)
    for key in ("keep_failed", "locked"):
        if key in own:
            if not isinstance(own[key], bool):
                raise InvalidError(f"the parameter stemma.{key} is {own[key]!r}, not true or false")
            out[key] = own[key]
    return out


def _known(run_params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a run under their old and new names."""
    given = run_params.get("runtime_params")
    if given is None:
        given = run_params.get("extra_params") or {}
    return {**run_params, "runtime_params": given, "extra_params": given}


def _parameters(run_params: Mapping[str, Any], catalog: Any) -> dict[str, Any]:
    """Returns the parameters that the run's nodes see, or only those of the command line where they are very many."""
    given = dict(run_params["runtime_params"])
    try:
        # Not catalog.load, which logs.
        known = {**dict(catalog.get("parameters").load()), **given} if "parameters" in catalog else given
        return known if len(json.dumps(known, default=str)) <= LARGEST else given
    except (TypeError, ValueError):  # objects of a class are no JSON
        return given


def _metadata(run_params: Mapping[str, Any], parameters: dict[str, Any], code: tuple[str | None, bool | None]) -> dict[str, Any]:
    """Returns what is kept with the commit."""
    return {
        "run_id": run_params["run_id"],
        "params": parameters,
        "pipeline": _pipelines(run_params),
        "env": run_params.get("env"),
        "git": {"sha": code[0], "dirty": code[1]},
        "versions": _code.versions(),
    }


def _pipelines(run_params: Mapping[str, Any]) -> list[str]:
    names = run_params.get("pipeline_names") or run_params.get("pipeline_name") or ["__default__"]
    return [names] if isinstance(names, str) else list(names)


def _nodes(pipeline: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the node that saves each dataset, and the one that loads it where it is only one."""
    savers = {out: n.name for n in pipeline.nodes for out in n.outputs}
    loaders: dict[str, list[str]] = {}
    for n in pipeline.nodes:
        for i in n.inputs:
            loaders.setdefault(i, []).append(n.name)
    return savers, {k: v[0] for k, v in loaders.items() if len(v) == 1}


def _through(pipeline: Any, stored: set[str]) -> dict[str, set[str]]:
    """Returns, by node, the nodes whose results come to it otherwise than by datasets that record which node reads them."""
    makers = {_plain_name(out): n for n in pipeline.nodes for out in n.outputs}
    before: dict[str, set[str]] = {}
    for n in pipeline.nodes:  # in the order in which they can be run
        own: set[str] = set()
        for name in n.inputs:
            maker = makers.get(_plain_name(name))
            if maker is not None and name not in stored:
                own |= {maker.name} | before.get(maker.name, set())
        if own:
            before[n.name] = own
    return before


def _plain_name(dataset: str) -> str:
    """Returns the name of a dataset without the part that says how it is transcoded."""
    return dataset.partition("@")[0]


def _replaces(dataset: Any) -> str | None:
    """Returns the table that saving the dataset takes anew, whatever it was."""
    if isinstance(dataset, TableDataset):
        return dataset._table if dataset.replaces else None
    return _plain.replaced(dataset)


def _trailer(key: str) -> str:
    return "-".join(["Kedro", *(w.capitalize() for w in key.split("_"))])
