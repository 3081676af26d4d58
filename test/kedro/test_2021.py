"""The import path and the hooks of 2021."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from project import PIPELINE, PLAIN, Project, Server

# As the announcement prints them.
PRINTED = """
from typing import Any, Dict

from kedro.framework.hooks import hook_impl
from kedro_dolt import KedroDolt


class ProjectHooks(KedroDolt):
    @hook_impl
    def before_pipeline_run(self, run_params: Dict[str, Any]):
        if (
            "branch" in run_params["extra_params"] and
            run_params["extra_params"]["branch"] is not None
        ):
           self._branch = run_params["extra_params"]["branch"]
           self._original_branch = self._active_branch
           self._checkout_branch(self._branch)

    @hook_impl
    def after_pipeline_run(self, run_params: Dict[str, Any]):
       commit_message = self._commit_message(run_params=run_params)
       self._commit(commit_message)
       if self._original_branch is not None:
           self._checkout_branch(self._original_branch)

    def _commit_message(self, run_params: Dict[str, Any]):
        return f"Update from kedro run: {{run_params['run_id']}}"


DOLT_DATABASE="{database}"
HOOKS = (ProjectHooks(database=DOLT_DATABASE),)
"""


def test_printed_hooks(tmp_path: Path, own: Server) -> None:
    project = Project(tmp_path / "shop", own, settings=PRINTED)
    project.catalog(PLAIN)
    project.pipeline(PIPELINE)
    first = project.run(n=1)
    assert own.messages() == [f"Update from kedro run: {first}"]
    second = project.run(n=2, branch="new")
    assert own.messages() == [f"Update from kedro run: {first}"]
    assert own.messages("new")[0] == f"Update from kedro run: {second}"
    assert own.query("select v from b as of hashof('new') order by id") == [(20,), (30,), (40,)]
    assert own.query("select v from b order by id") == [(10,), (20,), (30,)]
    assert own.branches() == ["main", "new"]


def test_json_message(tmp_path: Path, own: Server) -> None:
    settings = """
from typing import Any, Dict

from kedro_dolt import DoltHook


class ProjectHooks(DoltHook):
    def _commit_message(self, run_params: Dict[str, Any]):
        import json
        return f"Update from kedro run: {{json.dumps(run_params['extra_params'])}}"


HOOKS = (ProjectHooks("{database}", None, 3306, "localhost", "root", ""),)
"""
    project = Project(tmp_path / "shop", own, settings=settings)
    project.catalog(PLAIN)
    project.pipeline(PIPELINE)
    project.run(branch="new")
    assert own.query("select message from dolt_log('new') limit 1") == [('Update from kedro run: {"branch": "new"}',)]


def test_beside_the_original(tmp_path: Path) -> None:
    info = tmp_path / "kedro_dolt-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kedro-dolt\nVersion: 0.1.0\n")
    done = subprocess.run(
        [sys.executable, "-c", "import kedro_dolt"], env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip uninstall kedro-dolt" in done.stderr
