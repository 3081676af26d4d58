"""MySQL's own connector: in pure Python and over its C library, statements as text and prepared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import mysql.connector
import pytest
from mysql.connector.abstracts import MySQLConnectionAbstract, MySQLCursorAbstract

from server import Server


@pytest.fixture(params=[True, False], ids=["pure", "c"])
def connection(request: pytest.FixtureRequest, shared: Server, db: str) -> Iterator[MySQLConnectionAbstract]:
    assert mysql.connector.HAVE_CEXT, "the connector has come without its C library"
    connection = mysql.connector.connect(host="127.0.0.1", port=shared.port, user="root", database=db, use_pure=request.param)
    yield connection
    connection.close()


@pytest.fixture
def pure(shared: Server, db: str) -> Iterator[MySQLConnectionAbstract]:
    """A connection for prepared statements with parameters, of which the C library's connector corrupts its own memory."""
    connection = mysql.connector.connect(host="127.0.0.1", port=shared.port, user="root", database=db, use_pure=True)
    yield connection
    connection.close()


def test_cursors(connection: MySQLConnectionAbstract) -> None:
    check_cursor(connection, connection.cursor())


def test_prepared_cursors(pure: MySQLConnectionAbstract) -> None:
    check_cursor(pure, pure.cursor(prepared=True))


def check_cursor(connection: MySQLConnectionAbstract, cur: MySQLCursorAbstract) -> None:
    cur.execute("create table t (id int auto_increment primary key, s varchar(30), n decimal(10,2), at datetime, b blob)")
    sql = "insert into t (s, n, at, b) values (%s, %s, %s, %s)"
    rows = [(f"it's {i}%", Decimal(i) / 4, dt.datetime(2021, 4, 23, 1, 2, i % 60), bytes([i % 256])) for i in range(300)]
    cur.executemany(sql, rows)
    assert cur.rowcount == 300
    connection.commit()
    cur.execute("select s, n, at, b from t where id between %s and %s order by id", (11, 20))
    assert [(s, n, at, bytes(b)) for s, n, at, b in cur.fetchall()] == rows[10:20]
    cur.execute("select s from t where id > %s", (1000,))
    assert cur.fetchall() == []
    cur.execute("insert into t (s) values (%s)", (None,))
    assert cur.lastrowid == 301
    cur.execute("select s, n, at, b from t where id = %s", (301,))
    assert cur.fetchall() == [(None, None, None, None)]
    connection.rollback()
    cur.execute("select count(*) from t")
    assert cur.fetchall() == [(300,)]
    cur.close()


def test_a_statement_is_prepared_once(pure: MySQLConnectionAbstract) -> None:
    cur = pure.cursor()
    cur.execute("create table t (id int primary key, v int)")
    p = pure.cursor(prepared=True)
    for i in range(200):
        p.execute("insert into t values (?, ?)", (i, i * i))
    pure.commit()
    p = pure.cursor(prepared=True)
    for i in (3, 5, 199):
        p.execute("select v from t where id = ?", (i,))
        assert p.fetchall() == [(i * i,)]
    p.execute("select id from t where v = ? or id in (?, ?) order by id limit ?", (9, 7, 8, 2))
    assert p.fetchall() == [(3,), (7,)]


def test_dictionaries_and_buffers(connection: MySQLConnectionAbstract) -> None:
    cur = connection.cursor(dictionary=True, buffered=True)
    cur.execute("select 1 as a, 'x' as b")
    assert cur.fetchall() == [{"a": 1, "b": "x"}]


def test_procedures_by_call(connection: MySQLConnectionAbstract) -> None:
    cur = connection.cursor()
    cur.execute("create table t (x int)")
    cur.execute("call dolt_commit('-Am', %s)", ("a 'quoted' message",))
    assert len(cur.fetchall()[0][0]) == 32
    cur.execute("select message from dolt_log limit 1")
    assert cur.fetchall() == [("a 'quoted' message",)]


def test_reset_and_change_user(connection: MySQLConnectionAbstract, db: str) -> None:
    cur = connection.cursor()
    cur.execute("set @x = 1")
    connection.reset_session()
    cur = connection.cursor()
    cur.execute("select @x")
    assert cur.fetchall() == [(None,)]
    connection.cmd_change_user("root", "", db)
    cur = connection.cursor()
    cur.execute("select database()")
    assert cur.fetchall() == [(db,)]


def test_state_of_the_transaction(connection: MySQLConnectionAbstract) -> None:
    cur = connection.cursor()
    cur.execute("create table t (x int)")
    connection.commit()
    connection.start_transaction()
    assert connection.in_transaction
    cur.execute("insert into t values (1)")
    connection.commit()
    assert not connection.in_transaction


def test_infinity_is_refused(pure: MySQLConnectionAbstract) -> None:
    """A double that no column can hold is an error of the statement, and not the end of the connection."""
    cur = pure.cursor()
    cur.execute("create table t (x double)")
    p = pure.cursor(prepared=True)
    with pytest.raises(mysql.connector.Error) as e:
        p.execute("insert into t values (?)", (float("inf"),))
    assert e.value.errno in (1264, 1367)
    assert pure.is_connected()
