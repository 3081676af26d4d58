"""Users, passwords and grants, before and after a restart, and who may come in without a password."""

from __future__ import annotations

import socket
from base64 import b64encode
from pathlib import Path

import mysql.connector
import pymysql
import pytest

from server import Server, run


def refused(server: Server, **login: object) -> int:
    """The number of the error with which a login is refused."""
    with pytest.raises(pymysql.err.OperationalError) as e:
        server.connect(**login).close()
    return e.value.args[0]


def denied(server: Server, sql: str, **login: object) -> int:
    """The number of the error with which a statement is refused."""
    with server.connect("shop", **login) as c, c.cursor() as cur, pytest.raises(pymysql.err.Error) as e:
        cur.execute(sql)
    return e.value.args[0]


ANA = {"user": "ana", "password": "s3cret'x"}


@pytest.fixture
def users(server: Server) -> Server:
    server.query("create table goods (id int primary key)", "shop")
    server.query("insert into goods values (1)", "shop")
    server.query("create user ana identified by 's3cret''x'")
    server.query("grant select, insert on shop.* to ana")
    return server


def test_password(users: Server) -> None:
    with users.connect("shop", **ANA) as c, c.cursor() as cur:
        cur.execute("select user(), current_user()")
        assert cur.fetchall() == (("ana@localhost", "ana@%"),)
    assert refused(users, user="ana", password="wrong") == 1045
    assert refused(users, user="ana") == 1045
    assert refused(users, user="nobody") == 1045


@pytest.mark.parametrize("pure", [True, False])
def test_password_of_the_connector(users: Server, pure: bool) -> None:
    with mysql.connector.connect(host="127.0.0.1", port=users.port, database="shop", use_pure=pure, **ANA) as c:
        cur = c.cursor()
        cur.execute("select * from goods")
        assert cur.fetchall() == [(1,)]
    with pytest.raises(mysql.connector.Error) as e:
        mysql.connector.connect(host="127.0.0.1", port=users.port, user="ana", password="wrong", use_pure=pure)
    assert e.value.errno == 1045


def test_grants(users: Server) -> None:
    with users.connect("shop", **ANA) as c, c.cursor() as cur:
        cur.execute("insert into goods values (2)")
        cur.execute("select count(*) from goods")
        assert cur.fetchall() == ((2,),)
    assert denied(users, "delete from goods", **ANA) == 1142
    assert denied(users, "drop table goods", **ANA) == 1142
    assert denied(users, "create user eve", **ANA) in (1142, 1227)
    users.query("revoke insert on shop.* from ana")
    assert denied(users, "insert into goods values (3)", **ANA) == 1142
    users.query("grant all on *.* to ana")
    with users.connect("shop", **ANA) as c, c.cursor() as cur:
        assert cur.execute("delete from goods") == 2


def test_other_databases_are_closed(users: Server) -> None:
    users.query("create user ben identified by 'b'")
    assert refused(users, user="ben", password="b", database="shop") == 1044
    assert refused(users, user="ben", password="b", database="shop/main") == 1044


DENIED = (1044, 1142, 1227)


def test_views_need_their_privileges(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    users = Server(directory).start()
    try:
        for statement in (
            "create database shop",
            "create database eves",
            "create table shop.seen (id int primary key)",
            "insert into shop.seen values (1)",
            "create view shop.v as select id from shop.seen",
            "create view shop.w as select id from seen",
            "create user eve identified by 'e'",
            "grant all on eves.* to eve",
            "create table eves.seen (id int primary key)",
            "grant select on shop.v to eve",
            "grant select on shop.w to eve",
        ):
            users.query(statement, "shop" if "shop.w" in statement else None)

        def eve(sql: str) -> list[tuple]:
            with users.connect("eves", user="eve", password="e") as c, c.cursor() as cur:
                cur.execute(sql)
                return list(cur.fetchall())

        def refuses(sql: str) -> None:
            with pytest.raises(pymysql.err.Error) as e:
                eve(sql)
            assert e.value.args[0] in DENIED, (sql, e.value)

        # The tables below are not hers, though one of her own has the name of one of them.
        refuses("select * from shop.v")
        refuses("select * from shop.w")
        users.query("grant select on shop.seen to eve")
        assert eve("select * from shop.v") == eve("select * from shop.w") == [(1,)]
        assert eve("select column_name from information_schema.columns where table_name = 'v'") == [("id",)]
        # A view of her own gives her no more of the table than she had.
        eve("create view mine as select * from shop.seen")
        eve("create view few as select id from mine where id = 1")
        for statement in ("truncate %s", "delete from %s", "delete from %s where id = 1", "update %s set id = 2", "insert into %s values (2)", "drop table %s"):
            for name in ("mine", "few", "eves.few"):
                with pytest.raises(pymysql.err.Error):
                    eve(statement % name)
        assert users.query("select id from shop.seen") == [(1,)]
        reading = b64encode(b'{"view":"shop","database":"shop"}').decode()
        for statement in (
            "create view shop.x as select 1",
            "create or replace view shop.v as select 1",
            "drop view shop.v",
            "rename table shop.seen to shop.gone",
            "alter table shop.seen rename to shop.gone",
            "rename table shop.v to shop.gone",
            f"/*read view {reading}*/ create view shop.x as select 1",
            f"/*read view AAAA {reading}*/ create view shop.x as select 1",
        ):
            refuses(statement)
        # Taken for a comment, it says nothing of the database.
        eve(f"/*read view {reading}*/ create view hers as select 1")
        assert users.query("select table_schema from information_schema.views where table_name = 'hers'") == [("eves",)]
        eve("drop view mine, few, hers")
        assert eve("select table_name from information_schema.views") == []
        users.query("grant create view, show view, drop on shop.* to eve")
        eve("create or replace view shop.v as select 2 as two")
        assert sorted(eve("select table_name from information_schema.views")) == [("v",), ("w",)]
        eve("drop view shop.v")
    finally:
        users.stop()


def test_users_survive_a_restart(users: Server) -> None:
    users.query("create role reader")
    users.query("grant select on shop.* to reader")
    users.query("create user cat identified by 'c'")
    users.query("grant reader to cat")
    users.stop()
    users.start()
    with users.connect("shop", **ANA) as c, c.cursor() as cur:
        cur.execute("select * from goods")
        assert cur.fetchall() == ((1,),)
    assert refused(users, user="ana", password="wrong") == 1045
    assert denied(users, "delete from goods", **ANA) == 1142
    assert users.query("select count(*) from goods", "shop") == [(1,)], "root is still there"
    assert ("GRANT `reader`@`%` TO `cat`@`%`",) in users.query("show grants for cat")


def test_users_survive_a_kill(users: Server) -> None:
    users.kill()
    users.start()
    users.connect("shop", **ANA).close()


def test_passwords_change(users: Server) -> None:
    users.query("alter user ana identified by 'new'")
    assert refused(users, **ANA) == 1045
    users.connect("shop", user="ana", password="new").close()
    users.query("drop user ana")
    assert refused(users, user="ana", password="new") == 1045


def test_password_of_root(users: Server) -> None:
    users.query("alter user root@localhost identified by 'r'")
    assert refused(users) == 1045
    users.stop()
    users.start()
    assert refused(users) == 1045
    users.connect("shop", password="r").close()


def other_address() -> str | None:
    """An address of this machine that is not the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        address = s.getsockname()[0]
        return None if address.startswith("127.") else address


def test_root_comes_from_this_machine_only(repository: Path) -> None:
    address = other_address()
    if address is None:
        pytest.skip("this machine has no address but the loopback's")
    server = Server(repository, "--host", "0.0.0.0").start()
    try:
        assert server.query("select 1") == [(1,)]
        assert refused(server, host=address) == 1045
    finally:
        server.stop()


def test_nobody_else_comes_in(server: Server) -> None:
    assert refused(server, user="admin") == 1045
    assert refused(server, user="owner") in (1045, 3118)
    assert refused(server, user="ROOT") == 1045


def test_commands_beside_a_server_need_no_password(users: Server) -> None:
    """Whoever may write the directory may use it."""
    users.query("alter user root@localhost identified by 'r'")
    run(users.directory, "commit", "-A", "-m", "from the command line")
    assert "from the command line" in run(users.directory, "log", "-n", "1")


def test_author_is_the_user(users: Server) -> None:
    users.query("grant all on shop.* to ana")
    with users.connect("shop", **ANA) as c, c.cursor() as cur:
        cur.execute("call dolt_commit('-Am', 'by ana')")
        cur.execute("select author from dolt_log limit 1")
        assert cur.fetchall() == (("ana",),)
