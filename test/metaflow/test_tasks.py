"""Tasks: foreach and join, failures, retries, resumed runs, cards; and what is refused."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import FLOWS, dolt, flow, made


def rows(database: str, query: str) -> list[str]:
    return dolt(database, "sql", "-r", "csv", "-q", query).split("\n")[1:-1]


def latest(name: str) -> Any:
    from metaflow import Flow

    return Flow(name).latest_run


@pytest.fixture(scope="module")
def fan(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A database, and the run of the flow Fan on it."""
    database = made(tmp_path_factory.mktemp("fan") / "analysis", "-b", "main")
    flow(FLOWS / "fan.py", "--db", database)
    return database, latest("Fan")


def test_foreach_and_join(fan: tuple[str, Any]) -> None:
    """Tasks at once come into one branch, none loses another's rows, and the join merges all artifacts."""
    database, run = fan
    assert run.data.total == 30
    assert rows(database, "select * from squares order by part") == ["1,1", "2,4", "3,9", "4,16"]
    assert rows(database, "select name from dolt_branches") == ["main"]
    assert set(run.data.dolt["actions"]) == {"squares", "total", *(f"part_{i}" for i in range(1, 5))}
    audits = [t.data.dolt for t in run["part"]]
    assert all(a == audits[0] == run.data.dolt for a in audits)


def test_tasks_that_append_at_once(database: str, tmp_path: Path) -> None:
    """What a task appends is beside what others have appended meanwhile, in a table without a key as well, and in one that each of them makes."""
    gate = tmp_path / "gate"
    gate.mkdir()
    flow(FLOWS / "append.py", "--db", database, "--gate", str(gate), "--max-workers", "4")
    appended = ["0,0", "0,1", "1,0", "1,1"]
    assert rows(database, "select * from known order by o, i") == [*appended, "9,9"]
    assert rows(database, "select * from fresh order by o, i") == appended
    assert rows(database, "select name from dolt_branches") == ["main"]


def test_an_audit_is_found_by_indexes(fan: tuple[str, Any]) -> None:
    """What a run's tasks did is looked up from the run, not among all that the database has recorded."""
    from stemma.metaflow import _audit

    plan = dolt(fan[0], "sql", "-q", "explain " + _audit._TASKS.replace("?", "'x'"))
    assert (plan.count("LookupJoin"), plan.count("IndexedTableAccess"), plan.count("InnerJoin") + plan.count("HashJoin")) == (2, 4, 0), plan


def test_card(fan: tuple[str, Any]) -> None:
    runs = Path(os.environ["METAFLOW_DATASTORE_SYSROOT_LOCAL"]) / ".metaflow" / "Fan" / "runs" / fan[1].id
    (card,) = runs.glob("steps/end/tasks/*/cards/blank-stemma-*.html")
    (data,) = re.findall(r'__MF_DATA__\["[^"]+"\]\s*=\s*"([^"]+)"', card.read_text())
    page = base64.b64decode(data).decode()
    assert '"type": "vegaChart"' in page
    assert '"first": "squares"' in page
    assert '"first": "total"' in page


def test_lineage_of_tasks_that_were_merged(fan: tuple[str, Any]) -> None:
    from stemma.metaflow import DoltConfig, DoltDT

    database, run = fan
    dt = DoltDT(config=DoltConfig(database=database))
    parts = {t.pathspec: t.index for t in run["part"]}
    for path, index in parts.items():
        assert dt.get_run(f"part_{index + 1}") == path
    # All tasks that landed by merges; only the last one when each began after the one before had landed.
    assert set() < set(dt.get_runs("squares")) <= set(parts)


def test_a_body_that_raises_commits_nothing(database: str) -> None:
    said = flow(FLOWS / "fails.py", "--db", database, "--where", "inside", "--attempts", "9", fails=True)
    assert "it fails inside" in said
    assert rows(database, "show tables") == []
    assert rows(database, "select name from dolt_branches") == ["main"]
    assert rows(database, "select count(*) from dolt_log") == ["1"]
    assert rows(database, "select state, error from stemma_runs") == ["FAIL,RuntimeError: it fails inside"]


@pytest.mark.parametrize("there", [False, True])
def test_a_key_twice_in_a_frame_is_refused(database: str, there: bool) -> None:
    """None of the two rows is chosen, and what the task had written before them goes as well."""
    if there:
        dolt(database, "sql", "-q", "create table keyed (id int primary key, v text); insert into keyed values (1, 'old'); "
             "call dolt_commit('-Am', 'keyed')")  # fmt: skip
    said = flow(FLOWS / "fails.py", "--db", database, "--where", "doubled", fails=True)
    assert "DuplicateKeyError" in said
    assert "twice" in said
    assert rows(database, "show tables") == (["keyed"] if there else [])
    if there:
        assert rows(database, "select * from keyed") == ["1,old"]
    assert rows(database, "select name from dolt_branches") == ["main"]
    assert rows(database, "select count(*) from dolt_log where message like 'Run: %'") == ["0"]
    assert set(rows(database, "select state from stemma_runs")) == {"FAIL"}


def test_a_conflict_keeps_the_branch_and_says_what_to_do(database: str) -> None:
    dolt(database, "sql", "-q", "create table keyed (id int primary key, v text); insert into keyed values (1, 'old'); call dolt_commit('-Am', 'keyed')")
    said = flow(FLOWS / "fails.py", "--db", database, "--where", "overtaken", "--attempts", "9", fails=True)
    said = re.sub(r"\s+", " ", re.sub(r"(?m)^\S+ \S+ \[\S+ \(pid \d+\)\] ", "", said))
    (kept,) = [b for b in rows(database, "select name from dolt_branches") if b.startswith("run/Fails/")]
    assert f"is committed on branch {kept}, but did not come into main" in said
    assert rows(database, "select * from keyed") == ["1,other 1"]
    assert rows(database, "show tables") == ["keyed"]
    shown = said.rpartition("settle it with: ")[2].partition(" (with --ours")[0]
    assert shown.startswith(f"stemma checkout main && {{ stemma merge {kept}; ")
    subprocess.run(["sh", "-c", shown], cwd=database, check=True, capture_output=True)
    assert rows(database, "select * from keyed") == ["1,a", "2,"]
    assert rows(database, "select * from appended") == ["r,7"]


def test_a_retry_that_nobody_overtakes_lands(database: str) -> None:
    dolt(database, "sql", "-q", "create table keyed (id int primary key, v text); insert into keyed values (1, 'old'); call dolt_commit('-Am', 'keyed')")
    flow(FLOWS / "fails.py", "--db", database, "--where", "overtaken", "--attempts", "1")
    assert rows(database, "select * from keyed") == ["1,a", "2,"]
    assert rows(database, "select * from appended") == ["r,7"]
    assert rows(database, "select name from dolt_branches") == ["main"]


@pytest.mark.parametrize("where", ["inside", "killed", "after"])
def test_a_retry_does_not_apply_twice(database: str, where: str) -> None:
    flow(FLOWS / "fails.py", "--db", database, "--where", where, "--attempts", "1")
    assert rows(database, "select * from appended") == ["r,7"]
    assert rows(database, "select * from keyed") == ["1,a", "2,"]
    assert rows(database, "select count(*) from dolt_log where message like 'Run: %'") == ["1"]
    assert rows(database, "select name from dolt_branches") == ["main"]


@pytest.mark.parametrize(("dies", "mode"), [(9, "append"), (1, "append"), (2, "create_append"), (3, "append"), (5, "append")])
def test_a_task_that_appends_in_several_commits(database: str, dies: int, mode: str) -> None:
    """Each of them is there once, whichever the first attempt has come to, and none is taken for another."""
    flow(FLOWS / "again.py", "--db", database, "--dies", str(dies), "--mode", mode)
    assert rows(database, "select * from appended order by n") == ["0", "1", "2", "3", "4", "10", "11", "12"]
    assert rows(database, "select * from renewed order by n") == ["0", "1"]
    assert rows(database, "select name from dolt_branches") == ["main"]


@pytest.mark.parametrize(
    ("kind", "t", "two"),
    [
        ("forked", "1 2", ""),
        ("forked_alike", "1 1", ""),
        ("alias", "1 2 3", ""),
        ("alias_alike", "1 1", ""),
        ("upsert", "", ""),
        ("caught", "1 2 3", ""),
        ("branches", "1 3", "2 3"),
        ("discard", "1", ""),
        ("refused", "1 4", ""),
        ("twice", "1 1", ""),
        ("other", "0 1", ""),
    ],
)
def test_attempts_that_differ(database: str, tmp_path: Path, kind: str, t: str, two: str) -> None:
    """What was appended is known by its rows and its branch, whichever attempt and process made it: none is lost, none is there twice."""
    dolt(database, "sql", "-q", "create table t (n bigint); insert into t values (77); create table k (id bigint primary key, v bigint); "
         "call dolt_commit('-Am', 't'); call dolt_branch('two')")  # fmt: skip
    (tmp_path / "link").symlink_to(database)
    flow(FLOWS / "differ.py", "--db", database, "--link", str(tmp_path / "link"), "--kind", kind)
    assert rows(database, "select * from t order by n") == [*t.split(), "77"]
    assert rows(database, "select * from t as of 'two' order by n") == [*two.split(), "77"]
    if kind == "upsert":
        assert rows(database, "select * from k order by id") == ["1,0", "2,0", "3,0", "1000,2"]
    # What the commits say was appended is what was: the log of both branches has each of them once.
    said = [int(n) for (n,) in (r.split(",") for b in ("main", "two") for r in rows(
        database, f"select json_length(metadata, '$.appended') from dolt_log('{b}') where json_length(metadata, '$.appended') > 0"))]  # fmt: skip
    assert sum(said) == (3 if kind == "upsert" else len(t.split()) + len(two.split()))


def test_what_tells_frames_apart() -> None:
    """The rows do, and neither the pieces that a frame is in nor what memory holds where nothing is."""
    import pyarrow as pa

    from stemma.metaflow._appends import digest

    one = pa.table({"a": pa.chunked_array([[1, None], [3]]), "b": ["x", None, "z"]})
    same = pa.table({"a": pa.array([1, 9, 3], mask=pd.array([False, True, False]).to_numpy(bool)), "b": ["x", None, "z"]})
    assert digest(one, "t") == digest(same, "t") == digest(pa.concat_tables([one, one])[3:], "t")
    others = [
        one[:2],
        one.rename_columns(["a", "c"]),
        pa.table({"a": [1, None, 3], "b": ["x", "", "z"]}),
        pa.table({"a": [None, 1, 3], "b": ["x", None, "z"]}),
        pa.table({"a": [1.0, None, 3.0], "b": ["x", None, "z"]}),
        *(pd.DataFrame({"c": pd.Categorical(list(v))}) for v in ("ab", "ba", "xy")),
        *(pd.DataFrame({"c": [v]}) for v in ([{"k": "a"}], [{"k": "b"}], ["a"], ["b"])),
        pd.DataFrame({"c": [1]}),
        pd.DataFrame({"c": [1]}, index=pd.Index([1], name="i")),
        pd.DataFrame({"c": [1]}, index=pd.Index([2], name="i")),
    ]
    assert len({digest(f, "t") for f in [one, *others]}) == len(others) + 1


def test_a_resumed_run_does_not_apply_twice(database: str) -> None:
    flow(FLOWS / "fails.py", "--db", database, "--where", "after", "--attempts", "2", fails=True)
    assert rows(database, "select * from appended") == ["r,7"]
    flow(FLOWS / "fails.py", verb="resume", fails=True)  # it fails after its commit again: parameters are those of the first run
    assert rows(database, "select * from appended") == ["r,7"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with two tables."""
    database = made(tmp_path_factory.mktemp("raw") / "raw-data", "-b", "main")
    dolt(database, "sql", "-q", "create table prices (id int primary key, v int); insert into prices values (1, 10), (2, 20); "
         "create table codes (id int primary key); insert into codes values (1); call dolt_commit('-Am', 'prices')")  # fmt: skip
    return database


def test_what_is_read_apart_from_where_it_is_written(raw: str, database: str) -> None:
    """The database that gets a table knows what it was made from: by the task itself in another database, and by tasks before it."""
    flow(FLOWS / "apart.py", "--raw", raw, "--made", database)
    assert rows(database, "select db, table_name, node, length(commit_hash) from stemma_run_inputs order by 2") == ["raw-data,codes,write,52", "raw-data,prices,write,52"]
    up = rows(database, "select kind, db, table_name from stemma_lineage('doubled', 'HEAD', 'up', 3) where kind = 'table' order by 3")
    assert up == ["table,raw-data,codes", "table,analysis,doubled", "table,raw-data,prices"]


def test_an_audit_has_what_only_the_database_knows(raw: str) -> None:
    """A task that was killed after its commit has stored nothing."""
    from stemma.metaflow import DoltDT

    flow(FLOWS / "apart.py", "--raw", raw, "--made", raw, "--fails", "True", fails=True)
    run = latest("Apart")
    dt = DoltDT(run=run)
    assert dt.read("doubled")["v"].tolist() == [20]
    assert dt.read("few")["id"].tolist() == [1]
    assert dt.read("prices")["v"].tolist() == [10, 20]
    actions = dt._audit["actions"]
    assert {k: (a["kind"], a["table_name"], a["pathspec"].split("/")[2]) for k, a in actions.items()} == {
        "prices": ("read", "prices", "start"),
        "few": ("read", None, "write"),
        "doubled": ("write", "doubled", "write"),
    }
    assert actions["doubled"]["commit"].startswith(dolt(raw, "log", "-n", "1").split()[1])


def test_pushing_what_is_committed(database: str, tmp_path: Path) -> None:
    """The branch comes to the remote with the commit, and audits name the remote; a push that fails says that the commit is there."""
    bucket = tmp_path / "bucket"
    dolt(database, "remote", "add", "origin", f"file://{bucket}")
    flow(FLOWS / "push.py", "--db", database)
    assert latest("Push").data.dolt["configs"].popitem()[1]["remote"] == f"file://{bucket}"
    dolt(str(tmp_path), "clone", f"file://{bucket}", "copy")
    assert rows(str(tmp_path / "copy"), "select * from t") == ["1"]
    bucket.rename(tmp_path / "gone")
    bucket.write_text("no bucket")
    said = flow(FLOWS / "push.py", "--db", database, "--n", "2", fails=True)
    assert "the task is committed on branch main" in said
    assert "could not be pushed" in said
    assert rows(database, "select * from t order by n") == ["2"]


def test_a_path_in_a_task_that_runs_elsewhere(database: str) -> None:
    said = flow(FLOWS / "fails.py", "--db", database, fails=True, METAFLOW_KUBERNETES_WORKLOAD="1")
    assert "this task runs on Kubernetes, where that directory is not" in said
    assert "stemma serve" in said


def test_a_step_that_is_to_run_elsewhere_is_refused_before_it_starts(tmp_path: Path) -> None:
    file = tmp_path / "away.py"
    file.write_text(
        "from metaflow import FlowSpec, kubernetes, step\nfrom stemma.metaflow import stemma\n\n"
        "class Away(FlowSpec):\n    @kubernetes\n    @stemma(db='some/path')\n    @step\n    def start(self):\n        self.next(self.end)\n\n"
        "    @step\n    def end(self):\n        pass\n\nif __name__ == '__main__':\n    Away()\n"
    )
    said = flow(file, fails=True)
    assert "is a path, and @kubernetes runs the step on another machine" in said
    assert "Task is starting" not in said


class TestRefused:
    """What is wrong is said in one sentence, with what to do."""

    def test_no_database(self, tmp_path: Path) -> None:
        from stemma import NotFoundError
        from stemma.metaflow import DoltConfig, DoltDT

        with pytest.raises(NotFoundError, match="there is no database in .*none.*dolt init"):
            DoltDT(config=DoltConfig(database=str(tmp_path / "none")))

    def test_wrong_branch(self, database: str) -> None:
        from stemma import NotFoundError
        from stemma.metaflow import DoltConfig, DoltDT

        with pytest.raises(NotFoundError, match="mian; did you mean .main.\?"):
            DoltDT(config=DoltConfig(database=database, branch="mian"))

    def test_writing_outside_of_a_flow(self, database: str) -> None:
        from stemma import InvalidError
        from stemma.metaflow import DoltConfig, DoltDT

        with pytest.raises(InvalidError, match=r"write is for a running flow .*stemma\.connect"):
            DoltDT(config=DoltConfig(database=database)).write(None, "t")

    def test_an_audit_is_read_only(self, database: str) -> None:
        from stemma import NotFoundError, ReadOnlyError
        from stemma.metaflow import DoltDT

        dt = DoltDT(audit={"actions": {}, "configs": {}})
        for verb in (lambda: dt.write(None, "t"), lambda: dt.sql("select 1", as_key="x"), lambda: dt.diff("a", "b", "t")):
            with pytest.raises(ReadOnlyError):
                verb()
        with pytest.raises(NotFoundError, match="neither read nor wrote 't'"):
            dt.read("t")

    def test_an_audit_is_read_at_the_remote(self, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An audit says which database, which remote and which commit: on another machine that is enough, once it was pushed."""
        from stemma import NotFoundError, connect
        from stemma.metaflow import DoltConfig, DoltDT
        from stemma.metaflow._databases import open_config

        monkeypatch.setenv("STEMMA_CACHE", str(tmp_path / "cache"))
        repo = connect(database)
        repo.write(pd.DataFrame({"a": [1]}), "t", mode="create", message="one")
        dolt(database, "remote", "add", "origin", str(tmp_path / "remote"))
        dolt(database, "push", "-u", "origin", "main")
        known = open_config(DoltConfig(database=database))[1].dict()
        assert known["remote"] == f"file://{tmp_path / 'remote'}"

        def audit(commit: str, **changed: str) -> dict[str, Any]:
            config = {**known, "commit": commit, "database": str(tmp_path / "gone"), **changed}
            action = {"key": "t", "config_id": known["id"], "table_name": "t", "commit": commit, "kind": "read"}
            return {"actions": {"t": action}, "configs": {known["id"]: config}}

        assert list(DoltDT(audit=audit(known["commit"])).read("t")["a"]) == [1]
        # What was not pushed is not there; once it was, it is fetched.
        repo.write(pd.DataFrame({"a": [1, 2]}), "t", mode="replace", message="two")
        later = repo.resolve("HEAD").commit
        with pytest.raises(NotFoundError, match=f"has not got the commit {later}") as e:
            DoltDT(audit=audit(later)).read("t")
        assert "push" in str(e.value.hint)
        # So it is where a clone is named that has not got it, or is where the database was; each place is said.
        clone = str(tmp_path / "clone")
        repo.clone(known["remote"], clone)
        for changed, said in (
            ({}, f"there is no database in {tmp_path / 'gone'}, and {clone}, a clone of it, has not got the commit {later}, and the remote"),
            ({"database": clone}, f"{clone} has not got the commit {later}.*, and the remote {known['remote']} has not got"),
        ):
            with pytest.raises(NotFoundError, match=said) as e:
                DoltDT(config=DoltConfig(database=clone), audit=audit(later, **changed)).read("t")
            assert "push" in str(e.value.hint)
        alone = audit(later)
        del alone["configs"][known["id"]]["remote"]
        with pytest.raises(NotFoundError, match=f"{clone}, a clone of it, has not got the commit {later}") as e:
            DoltDT(config=DoltConfig(database=clone), audit=alone).read("t")
        assert "fetch" in str(e.value.hint)
        with pytest.raises(NotFoundError, match="at the remote file:///nowhere there is nothing"):
            DoltDT(audit=audit(later, remote="file:///nowhere")).read("t")
        dolt(database, "push")
        assert list(DoltDT(audit=audit(later)).read("t")["a"]) == [1, 2]
        with pytest.raises(NotFoundError, match="is another database by now"):
            DoltDT(audit=audit(later, database_id="0" * 32)).read("t")

    def test_an_audit_of_a_database_that_is_not_here(self, database: str, tmp_path: Path) -> None:
        from stemma import NotFoundError
        from stemma.metaflow import DoltConfig, DoltDT

        dolt(database, "sql", "-q", "create table t (a int primary key); insert into t values (1); call dolt_commit('-Am', 't')")
        here = DoltDT(config=DoltConfig(database=database))
        known = here._config.dict()
        action = {"key": "t", "config_id": known["id"], "table_name": "t", "commit": known["commit"]}
        audit = {"actions": {"t": action}, "configs": {known["id"]: {**known, "database": str(tmp_path / "gone")}}}
        with pytest.raises(NotFoundError, match=f"the audit is of the database .*gone at commit {known['commit']}, which is not here"):
            DoltDT(audit=audit).read("t")
        # A copy of it somewhere else is known by its first commit, another database is not taken for it.
        assert list(DoltDT(audit=audit, config=DoltConfig(database=database)).read("t")["a"]) == [1]
        other = made(tmp_path / "other", "-b", "main")
        with pytest.raises(NotFoundError, match="not here"):
            DoltDT(audit=audit, config=DoltConfig(database=other)).read("t")

    def test_a_table_that_no_run_made(self, database: str) -> None:
        from stemma import NotFoundError
        from stemma.metaflow import DoltConfig, DoltDT

        dolt(database, "sql", "-q", "create table t (a int primary key); call dolt_commit('-Am', 't')")
        with pytest.raises(NotFoundError, match="no run is known to have made t at main"):
            DoltDT(config=DoltConfig(database=database)).get_run("t")

    def test_pushing(self, database: str) -> None:
        from stemma import NotFoundError, UnsupportedError
        from stemma.metaflow import DoltConfig, DoltDT

        with pytest.raises(NotFoundError, match="push_on_commit: .* has no remote .*remote add origin"):
            DoltDT(config=DoltConfig(database=database, push_on_commit=True))
        with pytest.raises(UnsupportedError, match="Dolt's own format"):
            DoltDT(config=DoltConfig(database=database, dolthub_remote=True))

    def test_nothing_given(self) -> None:
        from stemma import InvalidError
        from stemma.metaflow import DoltDT

        with pytest.raises(InvalidError, match="needs a run, an audit or a config"):
            DoltDT()
