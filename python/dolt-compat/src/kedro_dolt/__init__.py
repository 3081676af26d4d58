"""The import path of kedro-dolt (2021), on stemma.

    from kedro_dolt import DoltHook

    class ProjectHooks(DoltHook):
        def _commit_message(self, run_params):
            return f"Update from kedro run: {run_params['run_id']}"

Hooks that a project wrote itself, with `_checkout_branch` and `_commit` in its own `before_pipeline_run` and `after_pipeline_run`, work as
well, on a branch of the run's own as all runs do.
"""

from __future__ import annotations

import weakref
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any, ClassVar

try:
    distribution("kedro-dolt")
except PackageNotFoundError:
    pass
else:
    raise ImportError("kedro-dolt is installed, and so is stemma-dolt-compat, which has its import path: pip uninstall kedro-dolt")

from kedro.framework.hooks import hook_impl

from stemma.kedro.hooks import StemmaHooks

__all__ = ["DoltHook", "KedroDolt", "hooks"]


class DoltHook(StemmaHooks):
    """The hooks of kedro-dolt, with its arguments: database, branch, port, host, user, password.

    A project that overrides `before_pipeline_run` chooses the run's target by `_checkout_branch`, and commits by `_commit`.
    """

    _all: ClassVar[weakref.WeakSet[DoltHook]] = weakref.WeakSet()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._original_branch: str | None = None
        self._chosen: str | None = None
        self._at: str | None = None
        self._all.add(self)

    @hook_impl
    def after_catalog_created(self, save_version: str) -> None:
        """Notes the run that the catalog is for: Kedro gives it the run's id. Only the hooks of its session are called."""
        self._chosen, self._at = None, save_version

    @property
    def _active_branch(self) -> str:
        """The branch that the run is to come into: the one that was checked out last; empty is the one that the session is on."""
        return self._chosen or self._branch or ""

    def _checkout_branch(self, branch: str) -> None:
        """Chooses the branch that the run which is about to begin is to come into. No other session notices."""
        self._chosen = branch or None

    def _commit(self, message: str) -> None:
        """Commits what the run has written with a message; does nothing when it has written nothing."""
        if self._at is not None:
            self._finish(self._at, lambda: message)

    def _begins_itself(self) -> bool:
        return type(self).before_pipeline_run is not StemmaHooks.before_pipeline_run


KedroDolt = DoltHook
"""The name that the announcement of May 2021 gives the class."""


class _Old:
    """Gives hooks written for Kedro of 2021 what they expect, and begins the runs of those that override before_pipeline_run."""

    @hook_impl(tryfirst=True, specname="before_pipeline_run")
    def names(self, run_params: dict[str, Any]) -> None:
        """Adds the parameters of the command line under their old name."""
        run_params.setdefault("extra_params", run_params.get("runtime_params") or {})

    @hook_impl(trylast=True, specname="before_pipeline_run")
    def begin(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Begins the runs of hooks that have only chosen a branch, and left that to the class."""
        for h in list(DoltHook._all):
            if h._begins_itself() and h._at == run_params["run_id"]:
                h._begin({**run_params, "runtime_params": {**run_params["extra_params"], "branch": h._chosen}}, pipeline, catalog)


hooks = _Old()
"""What the entry point `kedro.hooks` names."""
