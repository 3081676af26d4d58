"""Transactions of two connections: isolation, conflicts, savepoints and rollback."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest
from pymysql.connections import Connection

from server import Server

ROWS = ((1, 10, 100), (2, 20, 200), (3, 30, 300))


def rows(c: Connection) -> tuple:
    with c.cursor() as cur:
        cur.execute("select * from acc order by id")
        return cur.fetchall()


def do(c: Connection, *statements: str) -> None:
    with c.cursor() as cur:
        for s in statements:
            cur.execute(s)


@pytest.fixture
def pair(shared: Server, db: str) -> Iterator[tuple[Connection, Connection]]:
    """Two connections with autocommit off, to a table of three rows."""
    shared.query("create table acc (id int primary key, a int, b int)", db)
    shared.query("insert into acc values (1, 10, 100), (2, 20, 200), (3, 30, 300)", db)
    with shared.connect(db, autocommit=False) as one, shared.connect(db, autocommit=False) as two:
        yield one, two


def test_isolation(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    assert rows(two) == ROWS
    do(one, "update acc set a = 11 where id = 1", "insert into acc values (4, 40, 400)")
    assert len(rows(one)) == 4
    assert rows(two) == ROWS, "what is not committed is seen"
    one.commit()
    assert rows(two) == ROWS, "a transaction sees what was committed after it began"
    two.commit()
    assert rows(two) == ((1, 11, 100), *ROWS[1:], (4, 40, 400))


def test_rollback(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    do(one, "delete from acc", "insert into acc values (9, 9, 9)")
    assert rows(one) == ((9, 9, 9),)
    one.rollback()
    assert rows(one) == rows(two) == ROWS


def test_hanging_up_rolls_back(pair: tuple[Connection, Connection], shared: Server, db: str) -> None:
    _, two = pair
    three = shared.connect(db, autocommit=False)
    do(three, "delete from acc")
    three.close()
    assert rows(two) == ROWS


def test_conflict(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    do(one, "update acc set a = a + 1 where id = 1")
    do(two, "update acc set a = a + 5 where id = 1", "update acc set a = 0 where id = 2")
    one.commit()
    with pytest.raises(pymysql.err.OperationalError) as e:
        two.commit()
    assert e.value.args[0] == 1213
    two.rollback()
    assert rows(two) == ((1, 11, 100), *ROWS[1:]), "nothing of the transaction that failed is left"
    do(two, "update acc set a = a + 5 where id = 1")
    two.commit()
    one.commit()
    assert rows(one)[0] == (1, 16, 100)


def test_no_conflict(pair: tuple[Connection, Connection]) -> None:
    """Different rows, and different columns of one row, are both kept."""
    one, two = pair
    do(one, "update acc set a = 11 where id = 1", "delete from acc where id = 3")
    do(two, "update acc set b = 111 where id = 1", "insert into acc values (5, 50, 500)")
    one.commit()
    two.commit()
    one.commit()
    assert rows(one) == rows(two) == ((1, 11, 111), ROWS[1], (5, 50, 500))


def test_same_key_twice(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    do(one, "insert into acc values (7, 1, 1)")
    do(two, "insert into acc values (7, 2, 2)")
    one.commit()
    with pytest.raises(pymysql.err.Error) as e:
        two.commit()
    assert e.value.args[0] in (1062, 1213)
    two.rollback()
    assert rows(two)[-1] == (7, 1, 1)


def test_savepoints(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    do(one, "insert into acc values (4, 1, 1)", "savepoint s", "delete from acc where id = 1", "savepoint t", "delete from acc where id = 2")
    do(one, "rollback to t")
    assert [r[0] for r in rows(one)] == [2, 3, 4]
    do(one, "rollback to savepoint s", "insert into acc values (5, 1, 1)", "release savepoint s")
    with pytest.raises(pymysql.err.OperationalError) as e:
        do(one, "rollback to s")
    assert e.value.args[0] == 1305
    one.commit()
    assert [r[0] for r in rows(two)] == [1, 2, 3, 4, 5]


def test_a_statement_that_fails_leaves_nothing(pair: tuple[Connection, Connection]) -> None:
    one, _ = pair
    do(one, "update acc set a = 99 where id = 3")
    with pytest.raises(pymysql.err.IntegrityError):
        do(one, "insert into acc values (4, 1, 1), (5, 1, 1), (1, 1, 1)")
    one.commit()
    assert rows(one) == (*ROWS[:2], (3, 99, 300))


def test_explicit_transactions(shared: Server, pair: tuple[Connection, Connection], db: str) -> None:
    """BEGIN on a connection with autocommit on."""
    _, two = pair
    with shared.connect(db) as one:
        do(one, "start transaction", "delete from acc where id = 1")
        assert rows(two) == ROWS
        two.commit()
        do(one, "commit", "delete from acc where id = 2")
        assert rows(two) == ROWS[2:]


def test_read_only(pair: tuple[Connection, Connection]) -> None:
    one, _ = pair
    do(one, "start transaction read only")
    with pytest.raises(pymysql.err.Error) as e:
        do(one, "delete from acc")
    assert e.value.args[0] == 1792


def test_ddl_commits(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    do(one, "insert into acc values (4, 1, 1)", "create table other (x int)")
    one.rollback()
    assert len(rows(two)) == 4


def test_commit_of_the_history_commits(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    do(one, "insert into acc values (4, 1, 1)", "call dolt_commit('-Am', 'with what is pending')")
    one.rollback()
    assert len(rows(two)) == 4
    with two.cursor() as cur:
        cur.execute("select count(*) from acc as of 'HEAD'")
        assert cur.fetchall() == ((4,),)
        cur.execute("select * from dolt_status")
        assert cur.fetchall() == ()


def test_branches_are_apart(shared: Server, pair: tuple[Connection, Connection], db: str) -> None:
    one, _ = pair
    do(one, "call dolt_commit('-Am', 'three rows')", "call dolt_branch('side')")
    with shared.connect(f"{db}/side", autocommit=False) as side:
        do(side, "update acc set a = 0 where id = 1")
        do(one, "update acc set a = 1 where id = 1")
        side.commit()
        one.commit()
        assert rows(side)[0] == (1, 0, 100)
        assert rows(one)[0] == (1, 1, 100)
