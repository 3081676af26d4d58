"""Errors have MySQL's numbers and states, by which clients tell them apart."""

from __future__ import annotations

import mysql.connector
import pymysql
import pytest

from server import Server

SETUP = [
    "create table parent (id int primary key, name varchar(5) not null, n tinyint unsigned, e enum('a','b'), u int unique)",
    "insert into parent values (1, 'one', 1, 'a', 1)",
]

ERRORS = [
    (1007, "HY000", "create database {db}"),
    (1008, "HY000", "drop database none_such"),
    (1046, "3D000", "select * from parent -- without a database"),
    (1048, "23000", "insert into parent (id, name) values (2, null)"),
    (1049, "42000", "use none_such"),
    (1050, "42S01", "create table parent (x int)"),
    (1051, "42S02", "drop table none_such"),
    (1054, "42S22", "select none_such from parent"),
    (1054, "42S22", "update parent set none_such = 1"),
    (1060, "42S21", "alter table parent add column name int"),
    (1061, "42000", "alter table parent add index u (n)"),
    (1062, "23000", "insert into parent (id, name) values (1, 'two')"),
    (1062, "23000", "insert into parent (id, name, u) values (2, 'two', 1)"),
    (1064, "42000", "selec 1"),
    (1064, "42000", "select * from"),
    (1064, "42000", "create table t (x int"),
    (1068, "42000", "create table t (x int primary key, y int primary key)"),
    (1091, "42000", "alter table parent drop column none_such"),
    (1136, "21S01", "insert into parent values (1)"),
    (1146, "42S02", "select * from none_such"),
    (1146, "42S02", "insert into none_such values (1)"),
    (1146, "42S02", "alter table none_such add column x int"),
    (1222, "21000", "select 1 union select 1, 2"),
    (1242, "21000", "select (select 1 union select 2)"),
    (1264, "22003", "insert into parent (id, name, n) values (2, 'two', 256)"),
    (1265, "01000", "insert into parent (id, name, e) values (2, 'two', 'c')"),
    (1305, "42000", "select none_such(1)"),
    (1305, "42000", "call none_such()"),
    (1364, "HY000", "insert into parent (id) values (2)"),
    (1366, "HY000", "insert into parent (id, name) values ('x', 'two')"),
    (1406, "22001", "insert into parent (id, name) values (2, 'longer than five')"),
    (1690, "22003", "select 18446744073709551615 + 1"),
]


@pytest.fixture(scope="module")
def filled(shared: Server) -> str:
    shared.query("create database mistakes")
    for s in SETUP:
        shared.query(s, "mistakes")
    return "mistakes"


@pytest.mark.parametrize(("number", "state", "sql"), ERRORS, ids=[f"{n}-{s[:30]}" for n, _, s in ERRORS])
def test_number_and_state(shared: Server, filled: str, number: int, state: str, sql: str) -> None:
    database = None if number == 1046 else filled
    with mysql.connector.connect(host="127.0.0.1", port=shared.port, user="root", database=database, use_pure=True, autocommit=True) as c:
        with pytest.raises(mysql.connector.Error) as e:
            c.cursor().execute(sql.format(db=filled))
        assert (e.value.errno, e.value.sqlstate) == (number, state), e.value
        cur = c.cursor()
        cur.execute("select 1")
        assert cur.fetchall() == [(1,)], "the connection is of use after the error"


def number(server: Server, database: str, sql: str) -> int:
    """The number of the error that a statement ends with."""
    with server.connect(database) as c, c.cursor() as cur, pytest.raises(pymysql.err.Error) as e:
        cur.execute(sql)
    return e.value.args[0]


def test_foreign_keys(shared: Server, db: str) -> None:
    shared.query("create table parent (id int primary key)", db)
    shared.query("create table child (id int primary key, p int, constraint of_parent foreign key (p) references parent (id))", db)
    shared.query("insert into parent values (1)", db)
    shared.query("insert into child values (1, 1), (2, null)", db)
    assert number(shared, db, "delete from parent") == 1451
    assert number(shared, db, "update parent set id = 2") == 1451
    assert number(shared, db, "insert into child values (3, 99)") == 1452
    assert number(shared, db, "drop table parent") in (1217, 3730)


def test_checks(shared: Server, db: str) -> None:
    shared.query("create table t (id int primary key, n int, constraint small check (n < 100))", db)
    shared.query("insert into t values (1, 99), (2, null)", db)
    assert number(shared, db, "insert into t values (3, 100)") == 3819
    assert number(shared, db, "update t set n = 100") == 3819


@pytest.mark.parametrize(("sql", "kind"), [
    ("insert into parent (id, name) values (1, 'two')", pymysql.err.IntegrityError),
    ("select * from none_such", pymysql.err.ProgrammingError),
    ("selec 1", pymysql.err.ProgrammingError),
    ("select none_such from parent", pymysql.err.OperationalError),
    ("insert into parent (id, name) values (2, 'longer than five')", pymysql.err.DataError),
])
def test_class_in_python(shared: Server, filled: str, sql: str, kind: type[Exception]) -> None:
    with shared.connect(filled) as c, c.cursor() as cur, pytest.raises(pymysql.err.Error) as e:
        cur.execute(sql)
    assert e.type is kind, e.value


def test_no_such_database_when_connecting(shared: Server) -> None:
    with pytest.raises(pymysql.err.OperationalError) as e:
        shared.connect("none_such")
    assert e.value.args[0] == 1049


@pytest.mark.parametrize("sql", [
    "select * from parent as of 'none_such'",
    "use mistakes/none_such",
    "call dolt_checkout('none_such')",
    "select hashof('none_such')",
    "call dolt_commit('-m', 'nothing is staged', '--none-such')",
])
def test_errors_of_versioning_name_the_culprit(shared: Server, filled: str, sql: str) -> None:
    with shared.connect(filled) as c, c.cursor() as cur, pytest.raises(pymysql.err.Error) as e:
        cur.execute(sql)
    assert "such" in str(e.value)


def test_duplicate_names_key_and_value(shared: Server, filled: str) -> None:
    with shared.connect(filled) as c, c.cursor() as cur, pytest.raises(pymysql.err.IntegrityError) as e:
        cur.execute("insert into parent (id, name) values (1, 'two')")
    assert e.value.args[1] == "Duplicate entry '1' for key 'parent.PRIMARY'"


def test_warnings(shared: Server, filled: str) -> None:
    with shared.connect(filled) as c, c.cursor() as cur:
        cur.execute("drop table if exists none_such")
        cur.execute("show warnings")
        assert [row[:2] for row in cur.fetchall()] == [("Note", 1051)]
