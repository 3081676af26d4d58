"""kill -9 in the middle of a load: what was acknowledged is there, and the database is sound."""

from __future__ import annotations

import contextlib
import threading
import time

import pymysql

from server import Server, run

KILLS = 4
BATCH = 100


class Load(threading.Thread):
    """Inserts batches of rows into a table of its own and commits every few of them, until the server is gone."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__()
        self.server = server
        self.table = f"events{number}"
        self.inserted = 0  # batches acknowledged
        self.commits: list[str] = []  # hashes acknowledged

    def run(self) -> None:
        with contextlib.suppress(pymysql.err.Error, OSError), self.server.connect("shop") as c, c.cursor() as cur:
            cur.execute(f"create table if not exists {self.table} (id int auto_increment primary key, batch int, text varchar(100), key (batch))")
            for batch in range(1_000_000):
                rows = ",".join(f"({batch}, 'event {i} of batch {batch}')" for i in range(BATCH))
                cur.execute(f"insert into {self.table} (batch, text) values {rows}")
                self.inserted += 1
                if batch % 5 == 4:
                    # Another writer's commit may have taken these rows already.
                    cur.execute(f"call dolt_commit('--allow-empty', '-Am', '{self.table}: batch {batch}')")
                    self.commits.append(cur.fetchall()[0][0])


def test_acknowledged_commits_survive(server: Server) -> None:
    server.query("create table base (id int primary key)", "shop")
    server.query("call dolt_commit('-Am', 'base')", "shop")
    acknowledged: set[str] = set()
    for kill in range(KILLS):
        load = Load(server, kill)
        load.start()
        deadline = time.monotonic() + 20
        while len(load.commits) < 3 + kill:
            assert time.monotonic() < deadline and load.is_alive(), f"the load does not get on: {load.inserted} batches"
            time.sleep(0.003)
        server.kill()
        load.join()
        acknowledged.update(load.commits)
        server.start()
        there = {h for (h,) in server.query("select commit_hash from dolt_log", "shop")}
        assert acknowledged <= there, "acknowledged commits are missing"
        (rows, batches, whole), = server.query(
            f"select count(*), count(distinct batch), count(distinct batch) * {BATCH} = count(*) from {load.table}", "shop"
        )
        assert whole == 1, f"half a batch is there: {rows} rows of {batches} batches"
        assert load.inserted <= batches <= load.inserted + 1
        (committed,), = server.query(f"select count(*) from {load.table} as of 'HEAD'", "shop")
        assert committed % (5 * BATCH) == 0
        assert server.query(f"select count(*) from {load.table} where batch = 0 and text = 'event 7 of batch 0'", "shop") == [(1,)]
    server.stop()
    assert "no problems found" in run(server.directory, "fsck")


def test_many_writers(server: Server) -> None:
    """Writers side by side, killed together."""
    loads = [Load(server, n) for n in range(4)]
    for load in loads:
        load.start()
    deadline = time.monotonic() + 30
    while any(len(load.commits) < 2 for load in loads):
        assert time.monotonic() < deadline and all(load.is_alive() for load in loads), [(l.inserted, len(l.commits)) for l in loads]
        time.sleep(0.003)
    server.kill()
    for load in loads:
        load.join()
    assert "no problems found" in run(server.directory, "fsck")
    server.start()
    there = {h for (h,) in server.query("select commit_hash from dolt_log", "shop")}
    for load in loads:
        assert set(load.commits) <= there
        (batches,), = server.query(f"select count(distinct batch) from {load.table}", "shop")
        assert load.inserted <= batches <= load.inserted + 1


def test_transactions_under_way_leave_nothing(server: Server) -> None:
    server.query("create table t (x int primary key)", "shop")
    with server.connect("shop", autocommit=False) as c, c.cursor() as cur:
        cur.execute("insert into t values (1)")
        c.commit()
        cur.execute("insert into t values (2)")
        server.kill()
    server.start()
    assert server.query("select * from t", "shop") == [(1,)]
