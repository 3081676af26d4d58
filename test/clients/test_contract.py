"""The contract: command lines and queries that have to answer as they are printed where the program is described.

Each runs under the program's own name and under the name dolt. Spacing is not part of it, except inside boxes' cells.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pymysql
import pytest
import sqlalchemy as sa

from server import binary, environment, free_port

HASH = r"[0-9a-v]{32}"
FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
SPECIES = ["setosa", "versicolor", "virginica"]

Shell = Callable[..., str]


def box(text: str) -> tuple[list[str], list[list[str]]]:
    """The columns and rows of a boxed table, which has to be drawn without a flaw."""
    lines = text.strip().splitlines()
    rules = [line for line in lines if line.startswith("+")]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert len(rules) == 3 and set(rules) == {rules[0]} and {len(line) for line in lines} == {len(rules[0])}, text
    return cells[0], cells[1:]


@pytest.fixture(params=["stemma", "dolt"])
def name(request: pytest.FixtureRequest) -> str:
    """The name that the program is called by."""
    return request.param


@pytest.fixture
def env(tmp_path: Path, name: str) -> dict[str, str]:
    """An environment in which the name is a command."""
    commands = tmp_path / "commands"
    commands.mkdir()
    (commands / name).symlink_to(binary())
    e = environment(tmp_path)
    return e | {"PATH": f"{commands}:{e['PATH']}", "STEMMA_AUTHOR_NAME": "Lim Hoang", "STEMMA_AUTHOR_EMAIL": "lim@example.org"}


@pytest.fixture
def shell(tmp_path: Path, name: str, env: dict[str, str]) -> Shell:
    """Runs a command line as it is printed, in a directory; the printed `dolt` is the name under test."""

    def run(line: str, directory: str = "kedro-dolt-demo", fails: bool = False) -> str:
        (tmp_path / directory).mkdir(exist_ok=True)
        line = re.sub(r"(^|&& )dolt ", rf"\g<1>{name} ", line)
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path / directory, env=env, capture_output=True, text=True, timeout=60)
        assert (done.returncode != 0) == fails, f"$ {line}\n{done.stdout}{done.stderr}"
        return done.stderr if fails else done.stdout

    return run


def statements(table: str, frame: pd.DataFrame) -> str:
    """SQL that replaces a table by a frame, without a key."""
    columns = ", ".join(f"{c} {'double' if t.kind == 'f' else 'bigint'}" for c, t in frame.dtypes.items())
    values = ", ".join("(" + ", ".join(repr(v) for v in row) + ")" for row in frame.values.tolist())
    return f"drop table if exists {table}; create table {table} ({columns}); insert into {table} values {values};\n"


def iris(ratio: float, seed: int = 7) -> dict[str, pd.DataFrame]:
    """150 flowers, made up but shaped as the well-known ones, of which a share is for testing."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame((rng.normal(size=(150, 4)) * [0.8, 0.4, 1.8, 0.8] + [5.8, 3.1, 3.8, 1.2]).round(1), columns=FEATURES)
    labels = pd.DataFrame(np.eye(3, dtype="int64")[np.arange(150) // 50], columns=SPECIES)
    test = frame.sample(frac=ratio, random_state=seed).index
    return {"example_test_x": frame.loc[test], "example_test_y": labels.loc[test]}


RUNS = [
    (0.1, "Update data from Kedro run 2021-04-23T22.44.41.926Z"),
    (0.2, "Update data from Kedro run: 2021-04-23T22.45.45.157Z"),
]


def once(shell: Shell, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, key: str, make: Callable[[], None]) -> None:
    """Makes databases with the first test that needs them, and copies them for the others."""
    kept = tmp_path_factory.getbasetemp() / key
    if kept.exists():
        shutil.copytree(kept, tmp_path, dirs_exist_ok=True, symlinks=True)
        return
    make()
    shutil.copytree(tmp_path, kept, symlinks=True, ignore=shutil.ignore_patterns("commands"))


@pytest.fixture
def runs(shell: Shell, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, name: str) -> Shell:
    """A database, its first branch master, with two runs; and a third on the branch new."""

    def run(ratio: float, message: str) -> None:
        (tmp_path / "run.sql").write_text("".join(statements(t, f) for t, f in iris(ratio).items()))
        shell(f"dolt sql < {tmp_path}/run.sql")
        shell(f"dolt commit -A -m '{message}'")

    def make() -> None:
        shell("dolt init -b master")
        for ratio, message in RUNS:
            run(ratio, message)
        shell("dolt checkout -b new")
        run(0.3, "Update from kedro run 2021-05-03T20.51.27.129Z")
        shell("dolt checkout master")

    once(shell, tmp_path, tmp_path_factory, f"runs-{name}", make)
    return shell


@contextmanager
def serving(tmp_path: Path, env: dict[str, str], line: str, directory: str = "kedro-dolt-demo") -> Iterator[tuple[int, Path]]:
    """A server started by a command line; on another port if 3306 is taken. Gives its port and what it has written."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = 3306 if s.connect_ex(("127.0.0.1", 3306)) != 0 else free_port()
    log = tmp_path / "server.out"
    if port != 3306:
        line += f" --port={port}"
    with log.open("wb") as out, (tmp_path / "server.err").open("wb") as err:
        process = subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=tmp_path / directory, env=env, stdout=out, stderr=err)
    try:
        for _ in range(400):
            try:
                socket.create_connection(("localhost", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "server.err").read_text()
                time.sleep(0.02)
        yield port, log
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def engine(tmp_path: Path, name: str, env: dict[str, str], runs: Shell) -> Iterator[sa.Engine]:
    """SQLAlchemy's engine for the printed address."""
    with serving(tmp_path, env, f"{name} sql-server --max-connections=10 -l trace") as (port, _):
        engine = sa.create_engine(f"mysql+pymysql://root@localhost:{port}/kedro_dolt_demo")
        yield engine
        engine.dispose()


def test_b5_init(shell: Shell, name: str) -> None:
    out = shell("dolt init")
    assert out.rstrip().removesuffix(".") == f"Successfully initialized {name} data repository"


def test_b6_server(tmp_path: Path, name: str, env: dict[str, str], shell: Shell) -> None:
    shell("dolt init")
    with serving(tmp_path, env, f"{name} sql-server --max-connections=10 -l trace") as (port, log):
        with pymysql.connect(host="localhost", port=port, user="root", database="kedro_dolt_demo") as c, c.cursor() as cur:
            cur.execute("select database(), @@max_connections")
            assert cur.fetchall() == (("kedro_dolt_demo", 10),)
        first = log.read_text().splitlines()[0]
    assert first == f'Starting server with Config HP="localhost:{port}"|U="root"|P=""|T="28800000"|R="false"|L="trace"'


def test_b7_replacing_a_table(engine: sa.Engine) -> None:
    for ratio in (0.1, 0.2, 0.3):
        for table, frame in iris(ratio).items():
            frame.to_sql(table, engine, if_exists="replace", index=False)
            back = pd.read_sql_table(table, engine)
            pd.testing.assert_frame_equal(back, frame.reset_index(drop=True))
    assert sa.inspect(engine).get_pk_constraint("example_test_x")["constrained_columns"] == []
    assert [c["type"].compile(dialect=engine.dialect) for c in sa.inspect(engine).get_columns("example_test_x")] == ["DOUBLE"] * 4
    assert [c["type"].compile(dialect=engine.dialect) for c in sa.inspect(engine).get_columns("example_test_y")] == ["BIGINT"] * 3


def test_b14_log(runs: Shell) -> None:
    commits = runs("dolt log").strip().split("\ncommit ")
    assert len(commits) == 3
    for commit, (_, message) in zip(commits, reversed(RUNS), strict=False):
        head, author, date, blank, text = commit.removeprefix("commit ").splitlines()[:5]
        assert re.fullmatch(rf"{HASH}( \(.*\))?", head.strip())
        assert author == "Author: Lim Hoang <lim@example.org>"
        assert re.fullmatch(r"Date: +[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d [+-]\d{4} \d{4}", date)
        assert blank == ""
        assert text[0] in " \t" and text.strip() == message


def check_diff(out: str, name: str, table: str) -> list[list[str]]:
    """Checks a difference of the features as it is drawn, and returns its rows."""
    lines = out.strip().splitlines()
    assert lines[0] == f"diff --{name} a/{table} b/{table}"
    assert re.fullmatch(rf"--- a/{table} @ {HASH}", lines[1].strip())
    assert re.fullmatch(rf"\+\+\+ b/{table} @ {HASH}", lines[2].strip())
    columns, rows = box("\n".join(lines[3:]))
    assert columns == ["", *FEATURES]
    assert {r[0] for r in rows} <= {"+", "-"}
    return rows


def test_b15_diff(runs: Shell, name: str) -> None:
    rows = check_diff(runs("dolt diff HEAD HEAD^ example_test_x --limit 5"), name, "example_test_x")
    assert len(rows) == 5
    whole = check_diff(runs("dolt diff HEAD HEAD^ example_test_x"), name, "example_test_x")
    assert whole[:5] == rows, "the limit gives the first rows, the same each time"


def test_b15_equal_content_has_an_equal_hash(runs: Shell) -> None:
    first = runs("dolt diff HEAD HEAD^ example_test_x --limit 5").splitlines()[1]
    assert runs("dolt diff master new example_test_x --limit 5").splitlines()[1] == first


def test_b16_diff_costs_what_has_changed(shell: Shell, tmp_path: Path) -> None:
    """A row among 100,000 is found in the time that it takes to find one among ten."""
    shell("dolt init")
    times = []
    for rows in (10, 100_000):
        (tmp_path / "big.csv").write_text("id,v\n" + "\n".join(f"{i},{i * 7 % 1000}" for i in range(rows)))
        shell(f"dolt table import -c -f --pk id t {tmp_path}/big.csv")
        shell("dolt commit -A -m rows")
        shell("dolt sql -q 'update t set v = -1 where id = 5'")
        shell("dolt commit -a -m one")
        took = []
        for _ in range(3):
            began = time.monotonic()
            out = shell("dolt diff HEAD^ HEAD t")
            took.append(time.monotonic() - began)
            assert out.count("-1") == 1
        times.append(min(took))
    assert times[1] < 3 * times[0] + 0.1, times


def test_b17_diff_as_a_table(runs: Shell) -> None:
    columns, rows = box(runs('''dolt sql -q "
    select to_sepal_width, from_sepal_width, diff_type, to_commit, from_commit
    from dolt_diff_example_test_x
    where from_commit = hashof('HEAD^') and
          to_commit = hashof('HEAD')
    limit 5"'''))
    assert columns == ["to_sepal_width", "from_sepal_width", "diff_type", "to_commit", "from_commit"]
    assert len(rows) == 5
    for to, from_, kind, *commits in rows:
        assert (to == "NULL", from_ == "NULL") == {"added": (False, True), "removed": (True, False), "modified": (False, False)}[kind]
        assert all(re.fullmatch(HASH, c) for c in commits)
    assert len({tuple(r[3:]) for r in rows}) == 1


def test_b18_boxes_and_floats(shell: Shell) -> None:
    shell("dolt init")
    out = shell('dolt sql -q "\n    select 3e0 a, 3.3e0 b,\n           0.2e0 c, null d"')
    assert out.strip() == "\n".join(["+---+-----+-----+------+", "| a | b   | c   | d    |", "+---+-----+-----+------+", "| 3 | 3.3 | 0.2 | NULL |", "+---+-----+-----+------+"])


def test_b19_runs_on_branches_are_apart(engine: sa.Engine) -> None:
    before = pd.read_sql("select * from example_test_x", engine)
    with engine.connect() as one, engine.connect() as two:
        one.execute(sa.text("call dolt_checkout('new')"))
        iris(0.4)["example_test_x"].to_sql("example_test_x", one, if_exists="replace", index=False)
        one.commit()
        assert two.execute(sa.text("select active_branch()")).scalar() == "master"
        pd.testing.assert_frame_equal(pd.read_sql("select * from example_test_x", two), before)
        one.execute(sa.text("call dolt_commit('-Am', 'a run')"))
        assert len(pd.read_sql("select * from example_test_x", one)) == 60


def test_b20_diff_of_branches(runs: Shell, name: str) -> None:
    rows = check_diff(runs("dolt diff master new example_test_x --limit 5"), name, "example_test_x")
    assert len(rows) == 5


def test_b21_as_of_a_function(engine: sa.Engine) -> None:
    frame = pd.read_sql_query("SELECT  * FROM example_test_y AS OF HASHOF('new')", engine)
    pd.testing.assert_frame_equal(frame, iris(0.3)["example_test_y"].reset_index(drop=True))


def test_b22_hash_of_a_branch(runs: Shell) -> None:
    newest = runs("dolt log -n 1 new").split()[1]
    assert box(runs("dolt sql -q \"select HASHOF('new') h\"")) == (["h"], [[newest]])


def test_b23_as_of_on_the_command_line(runs: Shell) -> None:
    columns, rows = box(runs('dolt sql -q "select * from example_test_y as of hashof(\'new\') limit 5"'))
    assert columns == SPECIES
    assert len(rows) == 5 and all(sorted(r) == ["0", "0", "1"] for r in rows)


def test_b24_search_for_a_run(runs: Shell) -> None:
    columns, rows = box(runs('''dolt sql -q "
    select commit_hash, message
    from dolt_commits
    where message like '%2021-05-03T20.51.27.129Z'"'''))
    assert columns == ["commit_hash", "message"]
    ((commit, message),) = rows
    assert re.fullmatch(HASH, commit) and message == "Update from kedro run 2021-05-03T20.51.27.129Z"


def test_b25_json_in_a_message(runs: Shell) -> None:
    runs("""dolt sql -q "call dolt_commit('--allow-empty', '-m', 'Update from kedro run: {\\"branch\\": \\"new\\"}')" """)
    assert runs('dolt sql -q "select message from dolt_log limit 1"').strip() == "\n".join([
        "+------------------------------------------+",
        "| message                                  |",
        "+------------------------------------------+",
        '| Update from kedro run: {"branch": "new"} |',
        "+------------------------------------------+",
    ])


def test_b26_versions_of_code_and_of_data(runs: Shell) -> None:
    code = "da5c8ad7f0b4c1f1e6a1d8c5e1e6a7b8c9d0e1f2"
    runs(f"dolt commit --allow-empty -m 'Update from kedro run: 17' --meta code={code}")
    columns, rows = box(runs(f"""dolt sql -q "select message from dolt_commits where json_unquote(json_extract(metadata, '$.code')) = '{code}'" """))
    assert (columns, rows) == (["message"], [["Update from kedro run: 17"]])


def test_c12_a_new_database(shell: Shell, name: str) -> None:
    out = shell("mkdir ~/hospital-price-analysis && cd ~/hospital-price-analysis && dolt init")
    assert out == f"Successfully initialized {name} data repository.\n"


def interactive(line: str, cwd: Path, env: dict[str, str], *typed: str, until: str) -> str:
    """What a program writes on a terminal while something is typed into it, without colours."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe("bash", ["bash", "-c", f"exec {line}"], env | {"TERM": "xterm-256color", "COLUMNS": "160", "LINES": "50"})
    out = b""

    def read(seconds: float) -> bool:
        """Reads what comes within a time, and answers the terminal's questions; tells whether something came."""
        nonlocal out
        if not select.select([fd], [], [], seconds)[0]:
            return False
        try:
            chunk = os.read(fd, 1 << 16)
        except OSError:  # the other side is closed
            chunk = b""
        out += chunk
        for _ in range(chunk.count(b"\x1b[6n")):  # asks where the cursor is
            os.write(fd, b"\x1b[5;1R")
        return chunk != b""

    def wait(for_: str) -> None:
        deadline = time.monotonic() + 20
        while for_ not in plain(out):
            assert time.monotonic() < deadline, plain(out)
            read(0.1)

    def settle() -> None:
        while read(0.3):
            pass

    try:
        wait("> ")
        for line_ in typed:
            settle()
            os.write(fd, line_.encode() + b"\r")
            wait(until)
        settle()
        os.write(fd, b"exit\r")
        settle()
    finally:
        os.close(fd)
        os.waitpid(pid, 0)
    return plain(out)


def plain(out: bytes) -> str:
    return re.sub(r"\x1b(\[[0-9;?<>=]* ?[a-zA-Z]|[()][A-Z0-9]|\][^\x07]*\x07|[=>78])", "", out.decode(errors="replace")).replace("\r", "")


PRICES, ANALYSIS = "hospital-price-transparency", "hospital-price-analysis"

COMMITS = [
    ("2021-01-10T12:00:00", "Added hospital Children's of Alabama."),
    ("2021-01-20T12:00:00", "Updating hospitals with changes from hospitals.csv"),
    ("2021-02-16T12:00:00", "Updating prices with changes from uwmc_prices.csv"),
    ("2021-03-01T12:00:00", "Too late"),
]


@pytest.fixture
def hospitals(shell: Shell, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, name: str) -> Shell:
    """The database of prices, whose commits have dates, and that of the analysis with a branch for the back-test."""

    def make() -> None:
        shell("dolt init -b master --date 2021-01-01T00:00:00", PRICES)
        shell('dolt sql -q "create table prices (code varchar(20), price float)"', PRICES)
        for i, (date, message) in enumerate(COMMITS):
            shell(f'dolt sql -q "insert into prices values (\'{i}\', {i}.5)"', PRICES)
            shell(f'dolt commit -A --date {date} -m "{message}"', PRICES)
        shell("dolt init -b master", ANALYSIS)
        shell("dolt checkout -b metaflow-backtest", ANALYSIS)
        shell("dolt sql -q \"create table variance_by_procedure (code varchar(20), price float); insert into variance_by_procedure values"
              " ('J3399', 91928120000), ('Q2042', 594822560000), ('90288', 8415260700), ('47133', 8558203000), ('216', 127616940000),"
              " ('L1830-00', 13.4162), ('C9293', 9202785000), ('0100T', 14931476000)\"", ANALYSIS)
        shell("dolt commit -A -m 'Run: HospitalProcedurePriceVarianceByState/1617812472287058/start/1'", ANALYSIS)
        shell("dolt checkout master", ANALYSIS)

    once(shell, tmp_path, tmp_path_factory, f"hospitals-{name}", make)
    return shell


def test_c17_shell(hospitals: Shell, tmp_path: Path, name: str, env: dict[str, str]) -> None:
    out = interactive(f"{name} sql", tmp_path / PRICES, env, "select 40 + 2;", until="42")
    lines = [line.strip() for line in out.splitlines() if line.strip()]
    assert lines[0] == f"# Welcome to the {'DoltSQL' if name == 'dolt' else 'stemma'} shell."
    assert lines[1] == "# Statements must be terminated with ';'."
    assert re.fullmatch(r"""# "exit" or "quit" \(or Ctrl-D\) to exit\.( "\\help" for help\.)?""", lines[2]), out
    assert re.search(r"hospital[_-]price[_-]transparency(/master)?\*?> ", out), out


def test_c18_commits_before_a_date(hospitals: Shell) -> None:
    out = hospitals(
        "dolt sql -q \"select commit_hash, message from dolt_commits where \\`date\\` < '2021-02-17' order by \\`date\\` desc limit 10;\"",
        PRICES,
    )
    columns, rows = box(out)
    assert columns == ["commit_hash", "message"]
    assert [m for _, m in rows] == [*(m for _, m in reversed(COMMITS[:3])), rows[-1][1]] and len(rows) == 4
    assert all(re.fullmatch(HASH, h) for h, _ in rows)


def commit_of(shell: Shell, message: str, database: str = PRICES) -> str:
    (commit,), = box(shell(f"dolt sql -q \"select commit_hash from dolt_commits where message = '{message}'\"", database))[1]
    return commit


def test_c19_branch_at_a_commit(hospitals: Shell) -> None:
    commit = commit_of(hospitals, COMMITS[1][1])
    assert hospitals(f"dolt branch metaflow-backtest {commit}", PRICES) == ""
    assert commit in hospitals("dolt log -n 1 metaflow-backtest", PRICES)


def test_c20_branches(hospitals: Shell) -> None:
    assert hospitals("dolt branch", ANALYSIS) == "* master\n  metaflow-backtest\n"
    hospitals("dolt branch -D metaflow-backtest", ANALYSIS)
    assert hospitals("dolt checkout -b metaflow-backtest", ANALYSIS) == "Switched to branch 'metaflow-backtest'\n"
    assert hospitals("dolt branch", ANALYSIS) == "  master\n* metaflow-backtest\n"


def test_c21_branches_as_parameters(hospitals: Shell, tmp_path: Path, name: str, env: dict[str, str]) -> None:
    """Each database is read and written at the branch that a run is given, by the database's name."""
    hospitals(f"dolt branch metaflow-backtest {commit_of(hospitals, COMMITS[1][1])}", PRICES)
    with serving(tmp_path, env, f"{name} sql-server", ".") as (port, _):
        def engine(database: str) -> sa.Engine:
            return sa.create_engine(f"mysql+pymysql://root@localhost:{port}/{database}", poolclass=sa.NullPool)

        old = pd.read_sql("select * from prices", engine("hospital_price_transparency/metaflow-backtest"))
        assert len(old) == 2 and len(pd.read_sql("select * from prices", engine("hospital_price_transparency"))) == 4
        with engine("hospital_price_analysis/metaflow-backtest").begin() as c:
            old.to_sql("medians", c, index=False)
            c.execute(sa.text("call dolt_commit('-Am', 'Run: HospitalPriceStateMedians/1617812400875290/start/1')"))
        assert not sa.inspect(engine("hospital_price_analysis")).has_table("medians")
    assert "1617812400875290" in hospitals("dolt log -n 1 metaflow-backtest", ANALYSIS)


def test_c22_the_result_of_a_back_test(hospitals: Shell) -> None:
    """The old result is read beside the new one, which has more rows."""
    hospitals('dolt sql -q "create table variance_by_procedure (code varchar(20), price float); '
              "insert into variance_by_procedure select concat('x', n), n from (with recursive s(n) as (select 1 union all select n + 1 from s where n < 50)"
              ' select n from s) q"', ANALYSIS)
    hospitals("dolt commit -A -m all", ANALYSIS)
    _, rows = box(hospitals("dolt sql -q \"select (select count(*) from variance_by_procedure as of 'metaflow-backtest') a, count(*) b from variance_by_procedure\"",
                            ANALYSIS))
    assert rows == [["8", "50"]]


def test_c23_floats_as_of_a_branch(hospitals: Shell) -> None:
    out = hospitals("dolt sql -q \"select * from variance_by_procedure as of 'metaflow-backtest' order by price desc limit 10;\"", ANALYSIS)
    assert out.strip() == "\n".join([
        "+----------+---------------+",
        "| code     | price         |",
        "+----------+---------------+",
        "| Q2042    | 5.9482256e+11 |",
        "| 216      | 1.2761694e+11 |",
        "| J3399    | 9.192812e+10  |",
        "| 0100T    | 1.4931476e+10 |",
        "| C9293    | 9.202785e+09  |",
        "| 47133    | 8.558203e+09  |",
        "| 90288    | 8.4152607e+09 |",
        "| L1830-00 | 13.4162       |",
        "+----------+---------------+",
    ])


@pytest.fixture
def medians(shell: Shell) -> Shell:
    """A database in which two flows have written their results."""
    shell("dolt init -b master", ANALYSIS)
    for table, run in (("state_procedure_medians", "HospitalPriceStateMedians/1617810636925188"),
                       ("variance_by_procedure", "HospitalProcedurePriceVarianceByState/1617811645255563")):
        shell(f'dolt sql -q "create table {table} (code varchar(20), price double); insert into {table} values (\'L1830-00\', 13.4162)"', ANALYSIS)
        shell(f"dolt commit -A -m 'Run: {run}/start/1'", ANALYSIS)
    return shell


def test_c28_log_of_runs(medians: Shell) -> None:
    log = medians("dolt log", ANALYSIS)
    entry = r"commit ({HASH}) *\nAuthor: Lim Hoang <lim@example\.org>\nDate:  [^\n]+\n\n\tRun: {RUN}/start/1\n\n".replace("{HASH}", HASH)
    runs = ("HospitalProcedurePriceVarianceByState/1617811645255563", "HospitalPriceStateMedians/1617810636925188")
    assert re.match("".join(entry.replace("{RUN}", run) for run in runs), log), log


def test_c29_a_branch_that_reproduces_a_run(medians: Shell) -> None:
    before = commit_of(medians, "Run: HospitalPriceStateMedians/1617810636925188/start/1", ANALYSIS)
    medians("dolt branch metaflow-backtest", ANALYSIS)
    assert medians("dolt branch", ANALYSIS) == "* master\n  metaflow-backtest\n"
    assert medians(f"dolt branch metaflow-change {before}", ANALYSIS) == ""
    assert medians("dolt branch", ANALYSIS) == "* master\n  metaflow-backtest\n  metaflow-change\n"
    _, rows = box(medians("dolt sql -q \"show tables as of 'metaflow-change'\"", ANALYSIS))
    assert rows == [["state_procedure_medians"]]


def test_statements_of_the_plugin_of_2021(engine: sa.Engine) -> None:
    """What the published hooks send, each through a connection of its own, in the spellings of their time."""
    db = "kedro_dolt_demo"
    with engine.begin() as c:
        assert c.execute(sa.text("select * from dolt_branches where name = 'trial'")).first() is None
        c.execute(sa.text("select dolt_checkout('-b', 'trial')"))
        assert c.execute(sa.text("select active_branch() as br")).scalar() == "trial"
        iris(0.5)["example_test_x"].to_sql("example_test_x", c, if_exists="replace", index=False)
        assert c.execute(sa.text("select * from dolt_status")).first() is not None
        made = c.execute(sa.text("select dolt_commit('-am', 'Update from kedro run: f') as c")).scalar()
        c.execute(sa.text(f"set @@{db}_head = '{made}'"))
        assert c.execute(sa.text(f"select @@{db}_head as head, active_branch()")).one() == (made, "trial")
        c.execute(sa.text("delete from example_test_x limit 1"))  # the session is on the branch still
    engine.dispose()
    with engine.connect() as c:
        assert c.execute(sa.text("select active_branch()")).scalar() == "master"
        c.execute(sa.text("set global dolt_sql_server_branch_ref = 'refs/heads/trial'"))
    engine.dispose()
    try:
        with engine.connect() as c:
            assert c.execute(sa.text("select active_branch()")).scalar() == "trial"
            assert c.execute(sa.text("select hashof('HEAD')")).scalar() == made
    finally:
        with engine.connect() as c:
            c.execute(sa.text("set global dolt_sql_server_branch_ref = ''"))
