"""COM_CHANGE_USER, by which pools of connections give a connection to another user."""

from __future__ import annotations

from pathlib import Path

import mysql.connector
import pytest
from mysql.connector.abstracts import MySQLConnectionAbstract

from server import Server
from test_tls import secured  # noqa: F401

ANA = ("ana", "s3cret'x")


@pytest.fixture
def users(server: Server) -> Server:
    prepare(server)
    return server


def prepare(server: Server) -> None:
    server.query("create table goods (id int primary key)", "shop")
    server.query("create user ana identified by 's3cret''x'")
    server.query("grant select on shop.* to ana")
    server.query("create user ben identified by 'b'")


def connect(server: Server, pure: bool, **options: object) -> MySQLConnectionAbstract:
    settings = {"host": "127.0.0.1", "port": server.port, "user": "root", "database": "shop", "use_pure": pure, "ssl_disabled": True}
    return mysql.connector.connect(**(settings | options))


def one(c: MySQLConnectionAbstract, sql: str) -> object:
    cur = c.cursor()
    cur.execute(sql)
    return cur.fetchall()[0][0]


@pytest.mark.parametrize("pure", [True, False])
def test_another_user(users: Server, pure: bool) -> None:
    with connect(users, pure) as c:
        cur = c.cursor()
        cur.execute("set @x = 1")
        cur.execute("begin")
        cur.execute("insert into goods values (1)")
        c.cmd_change_user(*ANA, "shop")
        assert one(c, "select concat(user(), ' ', current_user())") == "ana@localhost ana@%"
        assert one(c, "select @x") is None
        assert one(c, "select count(*) from goods") == 0, "the transaction was rolled back"
        with pytest.raises(mysql.connector.Error) as e:
            c.cursor().execute("insert into goods values (2)")
        assert e.value.errno == 1142
        c.cmd_change_user("root", "", "shop")
        assert one(c, "select current_user()") == "root@localhost"
        for _ in range(3):
            c.cmd_change_user(*ANA, "shop")
        assert one(c, "select database()") == "shop"


@pytest.mark.parametrize("pure", [True, False])
@pytest.mark.parametrize(("login", "number"), [
    (("ana", "wrong", "shop"), 1045), (("nobody", "", "shop"), 1045), (("owner", "", "shop"), (1045, 3118)), (("ben", "b", "shop"), 1044), ((*ANA, "none_such"), (1044, 1049)),
])
def test_who_is_not_let_in_is_out(users: Server, pure: bool, login: tuple[str, str, str], number: int | tuple[int, ...]) -> None:
    c = connect(users, pure)
    with pytest.raises(mysql.connector.Error) as e:
        c.cmd_change_user(*login)
    assert e.value.errno in (number if isinstance(number, tuple) else (number,))
    with pytest.raises(mysql.connector.Error):
        c.cursor().execute("select 1")
    assert users.query("select 1") == [(1,)]


def test_without_a_database(users: Server) -> None:
    with connect(users, True) as c:
        c.cmd_change_user(*ANA)
        assert one(c, "select database()") is None


def test_character_set(users: Server) -> None:
    with connect(users, True) as c:
        c.cmd_change_user(*ANA, "shop", charset=8)
        assert one(c, "select @@character_set_client") == "latin1"


def test_over_tls(secured: tuple[Server, Path]) -> None:  # noqa: F811
    server, cert = secured
    with server.connect("shop", ssl_ca=str(cert)) as c, c.cursor() as cur:
        cur.execute("create table goods (id int primary key)")
        cur.execute("create user ana identified by 's3cret''x'")
        cur.execute("grant select on shop.* to ana")
    with connect(server, True, ssl_disabled=False, ssl_ca=str(cert)) as c:
        c.cmd_change_user(*ANA, "shop")
        assert one(c, "select current_user()") == "ana@%"


def test_prepared_statements_end(users: Server) -> None:
    with connect(users, True) as c:
        p = c.cursor(prepared=True)
        p.execute("select ? + 1", (1,))
        assert p.fetchall() == [(2,)]
        c.cmd_change_user(*ANA, "shop")
        p = c.cursor(prepared=True)
        p.execute("select ? + 2", (1,))
        assert p.fetchall() == [(3,)]
