"""Runs: their branches, their commits, and what becomes of them when they fail."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError
from kedro.runner import ParallelRunner, ThreadRunner

import stemma
from project import OWN, PIPELINE, PLAIN, SETTINGS, Project, Server, binary


def test_a_run_is_one_commit(shop: Project) -> None:
    first = shop.run(n=1)
    second = shop.run(n=5)
    s = shop.server
    assert s.messages() == [f"Update from kedro run: {second}", f"Update from kedro run: {first}"]
    assert s.branches() == ["main"]
    assert s.query("select v from b order by id") == [(50,), (60,), (70,)]
    assert s.query("select v from b as of 'HEAD~1' order by id") == [(10,), (20,), (30,)]
    assert s.query("select * from dolt_status") == []
    assert s.query("select author, author_email from dolt_log limit 1") == [("Lim Hoang", "limdauto@gmail.com")]


def test_the_author_is_that_of_the_settings(shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's settings go before git's, in whole or in part."""
    for name in ("STEMMA_AUTHOR_NAME", "STEMMA_AUTHOR_EMAIL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for command in (["git", "config", "--global"], [binary(), "config", "--global"]):
        for setting, value in (("user.name", f"Grace {Path(command[0]).name}"), ("user.email", f"grace@{Path(command[0]).name}.org")):
            if command[0] == "git" or setting == "user.name":
                subprocess.run([*command, setting, value], check=True)
    shop.run(n=1)
    assert shop.server.query("select author, author_email from dolt_log limit 1") == [("Grace stemma", "grace@git.org")]


def test_the_commit_says_what_the_run_was(shop: Project) -> None:
    env = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@x"}
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "code"]):
        subprocess.run(["git", *command], cwd=shop.directory, check=True, env=os.environ | env)
    sha = subprocess.run(["git", "rev-parse", "HEAD"], cwd=shop.directory, capture_output=True, text=True, check=True).stdout.strip()
    shop.write(".gitignore", "__pycache__\n.git*\n.telemetry\n")
    run = shop.run(n=7)
    ask = "select metadata->>'$.run_id', metadata->>'$.params.n', metadata->>'$.git.sha', metadata->'$.git.dirty', metadata->>'$.versions.kedro' "
    assert shop.server.query(ask + "from dolt_log where metadata->'$.params.n' = 7") == [(run, "7", sha, "false", "1.7.0")]
    (shop.directory / "src" / shop.package / "__init__.py").write_text("x = 1\n")
    shop.run(n=8)
    assert shop.server.query("select metadata->'$.git.dirty' from dolt_log limit 1") == [("true",)]


def test_a_run_that_changes_nothing_makes_no_commit(shop: Project) -> None:
    """Also where each run drops its tables and makes them anew."""
    shop.run(n=1)
    head = shop.server.head()
    shop.run(n=1)
    assert shop.server.head() == head
    assert shop.server.branches() == ["main"]


def test_a_branch_keeps_runs_apart(shop: Project) -> None:
    shop.run(n=1)
    head = shop.server.head()
    run = shop.run(n=9, branch="new")
    s = shop.server
    assert s.head() == head
    assert s.branches() == ["main", "new"]
    assert s.messages("new")[0] == f"Update from kedro run: {run}"
    assert s.query("select v from b as of hashof('new') order by id") == [(90,), (100,), (110,)]
    assert s.query("select v from b order by id") == [(10,), (20,), (30,)]
    shop.run(n=2, branch=2026)
    assert "2026" in s.branches()
    shop.run(n=3, stemma={"branch": "of/stemma"})
    assert s.messages("of/stemma")[1:] == s.messages("main")


def test_a_run_that_fails_leaves_nothing(shop: Project) -> None:
    shop.run(n=1)
    head = shop.server.head()
    with pytest.raises(RuntimeError, match="no luck"):
        shop.run(pipelines=["bad"], n=2)
    with pytest.raises(RuntimeError, match="no luck"):
        shop.run(pipelines=["bad"], n=2, branch="other")
    s = shop.server
    assert (s.head(), s.branches(), s.query("select * from dolt_status")) == (head, ["main"], [])
    assert s.query("select v from a order by id") == [(1,), (2,), (3,)]
    shop.run(n=3)
    assert s.query("select v from a order by id") == [(3,), (4,), (5,)]


def test_a_failed_run_can_be_kept(shop: Project) -> None:
    shop.run(n=1)
    with pytest.raises(RuntimeError):
        shop.run(pipelines=["bad"], n=2, stemma={"keep_failed": True})
    s = shop.server
    (kept,) = [b for b in s.branches() if b.startswith("run/")]
    assert s.query("select v from b order by id", branch=kept) == [(20,), (30,), (40,)]
    assert s.messages(kept)[0].startswith("Failed kedro run: ")
    assert s.query("select v from b order by id") == [(10,), (20,), (30,)]


@pytest.mark.parametrize("runner", [ThreadRunner, ParallelRunner])
def test_runners(shop: Project, runner: type) -> None:
    run = shop.run(runner=runner(), n=4)
    assert shop.server.messages() == [f"Update from kedro run: {run}"]
    assert shop.server.query("select v from b order by id") == [(40,), (50,), (60,)]
    with pytest.raises(RuntimeError):
        shop.run(runner=runner(), pipelines=["bad"], n=5)
    assert shop.server.branches() == ["main"]
    assert shop.server.query("select v from b order by id") == [(40,), (50,), (60,)]


def test_workers_that_are_spawned(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDRO_MP_CONTEXT", "spawn")
    monkeypatch.setenv("PYTHONPATH", str(shop.directory / "src"))
    shop.run(runner=ParallelRunner(), n=4)
    assert shop.server.query("select v from b order by id") == [(40,), (50,), (60,)]


def test_wrong_branches(project: Project) -> None:
    project.catalog(OWN + "c: {type: stemma.kedro.QueryDataset, sql: select 1 as one, credentials: stemma}\n")
    project.pipeline(PIPELINE + '    \ndef look(c):\n    pass\n\n\nold = register_pipelines\n\n\ndef register_pipelines():\n    return {**old(), "look": pipeline([node(look, "c", None)])}\n')
    with pytest.raises(stemma.InvalidError, match=r"a\.\.b"):
        project.run(n=1, branch="a..b")
    with pytest.raises(stemma.NotFoundError, match="there is no branch 'nowhere'"):
        project.run(pipelines=["look"], branch="nowhere")
    with pytest.raises(stemma.InvalidError, match=r"stemma\.brnch"):
        project.run(n=1, stemma={"brnch": "x"})
    project.run(pipelines=["look"], branch="main")
    assert project.server.branches() == ["main"]


def test_columns_that_change_between_runs(shop: Project) -> None:
    shop.run(n=1)
    shop.pipeline(PIPELINE.replace('a.assign(v=a["v"] * 10)', 'a.assign(v=a["v"] * 10, w="new").drop(columns="v")'))
    if "stemma" in (shop.directory / "conf/base/catalog.yml").read_text():
        head = shop.server.head()
        with pytest.raises(DatasetError, match=r"\bb\b"):
            shop.run(n=2)
        assert (shop.server.head(), shop.server.branches()) == (head, ["main"])
        shop.catalog(OWN.replace("primary_key: id}", "primary_key: id, mode: replace}"))
    shop.run(n=3)
    assert shop.server.query("select * from b order by id limit 1") == [(1, "new")]
    assert shop.server.query("select v from b as of 'HEAD~1' order by id limit 1") == [(10,)]


def test_duplicate_keys(project: Project) -> None:
    project.catalog(OWN)
    project.pipeline(PIPELINE.replace('"id": [1, 2, 3]', '"id": [1, 2, 2]'))
    with pytest.raises(DatasetError, match="2"):
        project.run(n=1)
    assert (project.server.messages(), project.server.branches()) == ([], ["main"])


def test_hooks_come_with_the_package(tmp_path: Path, own: Server) -> None:
    """Without settings, the datasets of stemma are of a run; those of other libraries are left alone."""
    project = Project(tmp_path / "bare", own, settings=None)
    project.catalog(OWN)
    project.pipeline(PIPELINE)
    run = project.run(n=1)
    assert own.messages() == [f"Update from kedro run: {run}"]
    project.catalog(PLAIN)
    project.run(n=2)
    assert own.messages() == [f"Update from kedro run: {run}"]
    assert own.query("select v from b order by id") == [(20,), (30,), (40,)]


def test_messages_of_the_project(tmp_path: Path, own: Server) -> None:
    project = Project(
        tmp_path / "own",
        own,
        settings="""
import json
from stemma.kedro import StemmaHooks


class ProjectHooks(StemmaHooks):
    def _commit_message(self, run_params):
        assert run_params["extra_params"] == run_params["runtime_params"]
        return f"Update from kedro run: {{json.dumps(run_params['extra_params'])}}"


HOOKS = (ProjectHooks(database="{database}", trailers=True),)
""",
    )
    project.catalog(PLAIN)
    project.pipeline(PIPELINE)
    project.run(n=1, branch="new")
    first, empty, *trailers = own.messages("new")[0].splitlines()
    assert first == 'Update from kedro run: {"n": 1, "branch": "new"}'
    assert empty == ""
    assert 'Kedro-Params: {"n": 1, "branch": "new"}' in trailers
    assert {t.partition(":")[0] for t in trailers} >= {"Kedro-Run-Id", "Kedro-Pipeline", "Kedro-Git", "Kedro-Versions"}


def test_the_catalog_is_as_it_was_after_a_run(project: Project) -> None:
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project
    from kedro_datasets.pandas import SQLTableDataset

    project.catalog(PLAIN)
    project.pipeline(PIPELINE)
    bootstrap_project(project.directory)
    with KedroSession.create(project.directory, runtime_params={"n": 1}, save_on_close=False) as session:
        out = session.run()
        assert out["b"]._connection_str == project.server.url
        assert out["b"].load()["v"].tolist() == [10, 20, 30]
    assert not [u for u in SQLTableDataset.engines if "/run/" in u]


def test_a_directory_without_a_server(tmp_path: Path) -> None:
    directory = tmp_path / "local"
    directory.mkdir()
    subprocess.run([binary(), "init"], cwd=directory, check=True, capture_output=True)
    project = Project(tmp_path / "shop", Server(directory), settings=None)
    project.write("conf/local/credentials.yml", f"stemma: '{directory}'\nsql: {{con: 'stemma://{directory}'}}\n")
    for catalog in (OWN, PLAIN):
        project.catalog(catalog)
        project.pipeline(PIPELINE)
        project.write(f"src/{project.package}/settings.py", SETTINGS.format(database="local"))
        project.run(n=4, branch="new")
        with stemma.connect(directory, branch="new") as repo:
            assert repo.read_pandas("b", "new")["v"].tolist() == [40, 50, 60]
    with stemma.connect(directory) as repo:
        assert len(repo.log()) == 1


def test_frames_are_equal(project: Project) -> None:
    frame = pd.DataFrame({"id": [1, 2], "t": ["x", None], "d": pd.to_datetime(["2021-04-01", None])})
    path = project.directory / "in.parquet"
    frame.to_parquet(path)
    project.catalog(OWN)
    project.pipeline(
        f"""
        def register_pipelines():
            return {{"__default__": pipeline([node(lambda: pd.read_parquet(r"{path}"), None, "a", name="in")])}}
        """
    )
    project.run()
    with stemma.connect(project.server.uri) as repo:
        pd.testing.assert_frame_equal(repo.read_pandas("a"), frame, check_dtype=False)


def test_columns_with_names_of_functions(shop: Project) -> None:
    """What describe() gives has a column std, which neither MySQL nor SQLAlchemy thinks has to be quoted."""
    shop.pipeline(
        """
        def first(n):
            return pd.DataFrame({"id": [1, 2, 3], "v": [n, n + 1.0, n + 2]})

        def second(a):
            return a[["v"]].describe().T.reset_index(drop=True).assign(id=1, variance=a["v"].var())

        def register_pipelines():
            return {"__default__": pipeline([node(first, "params:n", "a"), node(second, "a", "b")])}
        """
    )
    shop.run(n=1)
    shop.run(n=2)
    assert shop.server.query("select mean, std, variance, max from b") == [(3, 1, 1, 4)]
