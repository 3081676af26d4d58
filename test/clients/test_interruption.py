"""Statements that are cut off, and clients that read slowly."""

from __future__ import annotations

import time
from pathlib import Path

import pymysql
import pytest

from server import Server

INTERRUPTED = 1317


@pytest.fixture(scope="module")
def big(shared: Server) -> str:
    """A database with a table of which a client does not read all at once."""
    shared.query("create database big")
    shared.query("create table t (id int primary key, s varchar(200))", "big")
    shared.query("insert into t with recursive n (i) as (select 0 union all select i + 1 from n where i < 999) select i, repeat('x', 100) from n", "big")
    for step in (1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000):
        shared.query(f"insert into t select id + {step}, s from t", "big")
    return "big"


def kill(server: Server, connection: int) -> None:
    with server.connect() as c, c.cursor() as cur:
        cur.execute(f"kill query {connection}")


def running(server: Server, connection: int) -> bool:
    with server.connect() as c, c.cursor() as cur:
        cur.execute("show processlist")
        return any(row[0] == connection and row[4] == "Query" for row in cur.fetchall())


def ends(server: Server, connection: int) -> bool:
    deadline = time.monotonic() + 5
    while running(server, connection):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_in_the_middle_of_rows(shared: Server, big: str) -> None:
    """The rows end with an error, and the session goes on."""
    with shared.connect(big) as c:
        with c.cursor() as cur:
            cur.execute("set @x = 1")
        cur = c.cursor(pymysql.cursors.SSCursor)
        cur.execute("select * from t")
        assert cur.fetchone() is not None
        kill(shared, c.thread_id())
        with pytest.raises(pymysql.err.OperationalError) as e:
            while cur.fetchone():
                pass
        assert e.value.args == (INTERRUPTED, "Query execution was interrupted")
        with c.cursor() as cur:
            cur.execute("select @x")
            assert cur.fetchall() == ((1,),)


def test_the_rest_of_several_statements_is_not_run(shared: Server, big: str, db: str) -> None:
    shared.query("create table mark (x int)", db)
    with shared.connect(big, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS) as c:
        cur = c.cursor(pymysql.cursors.SSCursor)
        cur.execute(f"select * from t; insert into {db}.mark values (1)")
        cur.fetchone()
        kill(shared, c.thread_id())
        with pytest.raises(pymysql.err.OperationalError):
            while cur.fetchone():
                pass
        with c.cursor() as cur:
            cur.execute(f"select count(*) from {db}.mark")
            assert cur.fetchall() == ((0,),)


def test_an_error_in_the_middle_of_rows(shared: Server, big: str) -> None:
    with shared.connect(big) as c, c.cursor() as cur:
        with pytest.raises(pymysql.err.OperationalError) as e:
            cur.execute("select id, 9223372036854775807 - 200000 + id from t")
        assert e.value.args[0] == 1690
        cur.execute("select 1")
        assert cur.fetchall() == ((1,),)


def test_before_the_first_row(shared: Server, big: str) -> None:
    with shared.connect(big) as c, c.cursor() as cur:
        c._execute_command(pymysql.constants.COMMAND.COM_QUERY, "select count(*) from t a join t b on a.s > b.s")
        time.sleep(0.3)
        kill(shared, c.thread_id())
        with pytest.raises(pymysql.err.OperationalError) as e:
            c._read_query_result()
        assert e.value.args[0] == INTERRUPTED
        cur.execute("select 1")
        assert cur.fetchall() == ((1,),)


@pytest.mark.parametrize("sql", ["select * from t", "select count(*) from t a join t b on a.s > b.s"])
def test_a_client_that_is_gone(shared: Server, big: str, sql: str) -> None:
    c = shared.connect(big)
    c._execute_command(pymysql.constants.COMMAND.COM_QUERY, sql)
    time.sleep(0.3)
    assert running(shared, c.thread_id())
    c._force_close()
    assert ends(shared, c.thread_id())


def peak(server: Server) -> int:
    """The most memory that the server has had, in MB."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024


def test_results_are_not_held(server: Server) -> None:
    """A server sends a result as its client reads it, and keeps nothing of what was read."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the system does not tell how much memory a process has had")
    server.query("create table n (i int primary key)", "shop")
    server.query("insert into n with recursive n (i) as (select 0 union all select i + 1 from n where i < 999) select i from n", "shop")
    before = peak(server)
    with server.connect("shop") as c:
        cur = c.cursor(pymysql.cursors.SSCursor)
        cur.execute("select a.i, b.i, repeat('x', 1000) from n a, n b where a.i < 400")
        assert sum(1 for _ in cur) == 400_000
    assert peak(server) < before + 150, "the result has 400 MB"
