"""Runs that meet others, and what they do not survive: conflicts, kills, servers that go away."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from kedro.io import DatasetError
from kedro.runner import SequentialRunner

import stemma
from project import OWN, PIPELINE, PLAIN, Project, binary
from stemma._run import Run


def test_two_runs_at_once(shop: Project) -> None:
    """Each sees the rows that it has written itself, which its second node asserts, and both commits come to main."""
    shop.run(n=1)
    gate = shop.directory / "gate"
    shop.pipeline(
        PIPELINE.replace(
            "    assert a[",
            f"    from pathlib import Path\n    Path(r'{gate}').mkdir(exist_ok=True)\n    Path(r'{gate}', str(n)).touch()\n"
            f"    while len(list(Path(r'{gate}').iterdir())) < 2:\n        time.sleep(0.01)\n    assert a[",
        )
    )
    one = shop.start("run", "--params", "n=100,branch=one")
    two = shop.start("run", "--params", "n=200,branch=two")
    for process in (one, two):
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
    s = shop.server
    assert [s.query(f"select v from b as of '{b}' order by id")[0] for b in ("one", "two", "main")] == [(1000,), (2000,), (10,)]


def test_runs_that_replace_the_same_table_do_not_mix(project: Project) -> None:
    project.catalog(PLAIN)
    project.pipeline(
        PIPELINE.replace(
            "    assert a[",
            f"    from pathlib import Path\n    Path(r'{project.directory}', f'at-{{n}}').touch()\n"
            f"    while n == 100 and not Path(r'{project.directory}', 'go').exists():\n        time.sleep(0.01)\n    assert a[",
        )
    )
    project.run(n=1)
    slow = project.start("run", "--params", "n=100")
    while not (project.directory / "at-100").exists():
        time.sleep(0.01)
    quick = project.run(n=200)
    (project.directory / "go").touch()
    out, _ = slow.communicate(timeout=120)
    assert slow.returncode == 0, out
    s = project.server
    assert s.query("select id, v from b order by id") == [(1, 1000), (2, 1010), (3, 1020)]
    assert f"Update from kedro run: {quick}" in s.messages()
    assert len(s.messages()) == 4
    assert s.branches() == ["main"]


def test_landing_goes_on_while_the_target_moves(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others commit between each look at the target and the step onto it; a table without a key that the run replaced is the run's all the same."""
    project.catalog(PLAIN)
    project.pipeline(PIPELINE)
    project.run(n=1)
    s, head, land, moves = project.server, Run._head, Run._land, []

    def move() -> None:
        moves.append(s.head())
        s.query("create table if not exists other (i int primary key)")
        s.query("insert into other values (%s)", len(moves))
        s.query("insert into b values (9, 9, 9)")
        s.query("call dolt_commit('-Am', %s)", f"move {len(moves)}")

    def moving(self: Run, branch: str) -> str:
        at = head(self, branch)
        if branch == self.target and len(moves) < 3:
            move()
        return at

    def landing(self: Run, *arguments: object) -> str:
        move()
        return land(self, *arguments)

    s.query("alter table b add column w int")
    s.query("call dolt_commit('-am', 'a column')")
    monkeypatch.setattr(Run, "_head", moving)
    monkeypatch.setattr(Run, "_land", landing)
    run = project.run(n=5)
    assert len(moves) == 3
    assert s.query("select * from b order by id") == [(1, 50), (2, 60), (3, 70)]
    assert s.query("select i from other order by i") == [(1,), (2,), (3,)]
    assert {"move 1", "move 2", "move 3", f"Update from kedro run: {run}"} <= set(s.messages())
    assert s.branches() == ["main"]


ADDING = {
    "upsert": OWN.replace("primary_key: id}", "primary_key: id, mode: upsert}"),
    "append": OWN.replace("primary_key: id}", "mode: create_append}"),
    "plain": PLAIN.replace("if_exists: replace", "if_exists: append"),
}


@pytest.mark.parametrize("mode", list(ADDING))
def test_rows_of_runs_that_add_are_merged(project: Project, mode: str) -> None:
    project.catalog(ADDING[mode])
    project.pipeline(
        f"""
        import time
        from pathlib import Path

        def rows(n):
            Path(r"{project.directory}", f"at-{{n}}").touch()
            while n == 100 and not Path(r"{project.directory}", "go").exists():
                time.sleep(0.01)
            return pd.DataFrame({{"id": [n], "v": [n]}})

        def register_pipelines():
            return {{"__default__": pipeline([node(rows, "params:n", "b", name="rows")])}}
        """
    )
    project.run(n=1)
    slow = project.start("run", "--params", "n=100")
    while not (project.directory / "at-100").exists():
        time.sleep(0.01)
    project.run(n=200)
    (project.directory / "go").touch()
    out, _ = slow.communicate(timeout=120)
    assert slow.returncode == 0, out
    assert project.server.query("select id from b order by id") == [(1,), (100,), (200,)]
    assert project.server.branches() == ["main"]


def test_a_conflict_keeps_the_branch_and_says_what_to_do(project: Project) -> None:
    project.catalog(OWN)
    project.pipeline(PIPELINE)
    project.run(n=1)
    s = project.server
    project.pipeline(
        PIPELINE.replace(
            "    assert a[",
            "    import pymysql\n"
            f"    c = pymysql.connect(host='127.0.0.1', port={s.port}, user='root', database='{s.database}', autocommit=True)\n"
            "    c.cursor().execute('update b set v = 77 where id = 1')\n"
            "    c.cursor().execute(\"call dolt_commit('-am', 'by hand')\")\n"
            "    assert a[",
        )
    )
    with pytest.raises(stemma.ConflictError) as e:
        project.run(n=5)
    (kept,) = [b for b in s.branches() if b.startswith("run/")]
    assert kept in str(e.value)
    assert "main" in str(e.value)
    assert s.messages()[0] == "by hand"
    assert s.query("select v from b order by id") == [(77,), (20,), (30,)]
    assert s.query("select v from b order by id", branch=kept) == [(50,), (60,), (70,)]
    assert s.query("select * from dolt_status") == []
    assert s.query("select * from dolt_status", branch=kept) == []
    # What the error says to do settles it, as it stands there.
    shown = str(e.value).partition("settle it with: ")[2].partition(" (")[0]
    assert shown.startswith(f"stemma checkout main && {{ stemma merge {kept}; ")
    path = os.pathsep.join([str(Path(binary()).parent), os.environ["PATH"]])

    def typed(command: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"PATH": path}
        return subprocess.run(["sh", "-c", command], cwd=s.directory, env=env, capture_output=True, text=True, check=False)

    # A checkout that fails is the end of it, and so is a merge that is refused: nothing is committed.
    before = s.messages()
    s.query("update b set v = 78 where id = 1")
    for refused in (shown.replace("checkout main", "checkout nowhere"), shown):
        done = typed(refused)
        assert done.returncode != 0, done.stdout + done.stderr
        assert s.messages() == before
        assert s.query("select v from b order by id") == [(78,), (20,), (30,)]
    assert "nowhere" not in done.stderr
    s.query("call dolt_reset('--hard')")
    done = typed(shown)
    assert done.returncode == 0, done.stdout + done.stderr
    assert s.messages()[0] == "resolved"
    assert s.query("select v from b order by id") == [(50,), (60,), (70,)]


def test_uncommitted_changes_of_the_target_are_not_lost(project: Project) -> None:
    project.catalog(OWN)
    project.pipeline(PIPELINE)
    project.run(n=1)
    s = project.server
    s.query("update b set v = 77 where id = 1")
    with pytest.raises(stemma.StemmaError) as e:
        project.run(n=5)
    (kept,) = [b for b in s.branches() if b.startswith("run/")]
    assert "please commit your changes" in str(e.value)
    assert f"when what is in the way is gone: stemma checkout main && stemma merge {kept}" in str(e.value)
    assert s.query("select v from b where id = 1") == [(77,)]
    s.query("create table elsewhere (i int)")
    s.query("call dolt_checkout('b')")
    s.query("call dolt_branch('-D', %s)", kept)
    project.run(n=6)
    assert s.query("select v from b where id = 1") == [(60,)]
    assert s.query("select table_name from dolt_status") == [("elsewhere",)]


def test_two_runs_with_one_id(project: Project) -> None:
    from kedro.framework.session.service_session import KedroServiceSession
    from kedro.framework.startup import bootstrap_project

    project.catalog(OWN)
    project.pipeline(PIPELINE)
    s = project.server
    s.query("call dolt_branch('run/mine', 'main')")
    bootstrap_project(project.directory)
    with KedroServiceSession.create(project_path=project.directory) as session:
        with pytest.raises(stemma.ExistsError, match="two runs with the id mine"):
            session.run(run_id="mine", runtime_params={"n": 1})
        assert s.branches() == ["main", "run/mine"]
        session.run(run_id="other", runtime_params={"n": 2})
        session.run(run_id="third", runtime_params={"n": 3, "branch": "b3"})
    assert s.messages() == ["Update from kedro run: other"]
    assert s.messages("b3")[0] == "Update from kedro run: third"


def test_sessions_side_by_side_in_one_process(project: Project) -> None:
    from kedro.framework.session.service_session import KedroServiceSession
    from kedro.framework.startup import bootstrap_project

    project.catalog(OWN)
    project.pipeline(PIPELINE)
    bootstrap_project(project.directory)
    failed: list[BaseException] = []
    with KedroServiceSession.create(project_path=project.directory) as session:

        def run(n: int) -> None:
            try:
                session.run(run_id=f"r{n}", runtime_params={"n": n, "branch": f"b{n}"}, runner=SequentialRunner())
            except BaseException as e:
                failed.append(e)

        threads = [threading.Thread(target=run, args=(n,)) for n in range(1, 6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert not failed
    for n in range(1, 6):
        assert project.server.query(f"select v from b as of 'b{n}' order by id")[0] == (n * 10,)
        assert project.server.messages(f"b{n}") == [f"Update from kedro run: r{n}"]


def test_killed_between_write_and_commit(shop: Project) -> None:
    shop.run(n=1)
    head = shop.server.head()
    shop.pipeline(PIPELINE.replace('raise RuntimeError("no luck")', "import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)"))
    process = shop.start("run", "--pipelines", "bad", "--params", "n=2")
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    s = shop.server
    assert (s.head(), s.query("select v from b order by id")) == (head, [(10,), (20,), (30,)])
    (left,) = [b for b in s.branches() if b.startswith("run/")]
    assert s.query("select v from b order by id", branch=left) == [(20,), (30,), (40,)]
    shop.pipeline(PIPELINE)
    shop.run(n=3)
    assert s.query("select v from b order by id") == [(30,), (40,), (50,)]


def test_interrupted(shop: Project) -> None:
    shop.run(n=1)
    shop.pipeline(PIPELINE.replace('raise RuntimeError("no luck")', "print('at it', flush=True)\n    time.sleep(60)"))
    process = shop.start("run", "--pipelines", "bad", "--params", "n=2")
    for line in process.stdout:
        if "at it" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert shop.server.branches() == ["main"]
    assert shop.server.query("select v from b order by id") == [(10,), (20,), (30,)]


def test_no_server(project: Project) -> None:
    for catalog in (PLAIN, OWN):
        project.catalog(catalog)
        project.pipeline(PIPELINE)
        project.server.stop()
        with pytest.raises(stemma.UnavailableError) as e:
            project.run(n=1)
        assert "127.0.0.1" in str(e.value)
        project.server.start()
    project.run(n=1)


def test_a_server_that_goes_away_during_a_run(project: Project) -> None:
    project.catalog(OWN)
    project.pipeline(PIPELINE.replace("    assert a[", f"    import os; os.kill({project.server.process.pid}, 9); time.sleep(0.2)\n    assert a["))
    with pytest.raises(DatasetError, match="127.0.0.1"):
        project.run(n=1)
    project.server.process.wait(30)
    project.server.start()
    assert project.server.messages() == []


def test_connections_that_close_while_a_node_works(project: Project) -> None:
    """What the server, or something between, has closed meanwhile is opened again: datasets of one run have their connections in common."""
    project.catalog(PLAIN)
    project.pipeline(
        PIPELINE.replace(
            "    assert a[",
            "    import pymysql\n"
            f"    with pymysql.connect(host='127.0.0.1', port={project.server.port}, user='root') as c, c.cursor() as cur:\n"
            "        cur.execute('show processlist')\n"
            "        others = [p[0] for p in cur.fetchall() if p[0] != c.thread_id()]\n"
            "        for p in others:\n"
            "            cur.execute(f'kill {p}')\n"
            "    assert others\n"
            "    assert a[",
        )
    )
    project.run(n=1)
    assert project.server.query("select v from b order by id") == [(10,), (20,), (30,)]
