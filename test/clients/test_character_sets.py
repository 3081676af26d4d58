"""Clients that speak other character sets than UTF-8."""

from __future__ import annotations

import subprocess

import mysql.connector
import pymysql
import pytest

from server import Server


def test_what_one_writes_others_read(shared: Server, db: str) -> None:
    shared.query("create table `naïve` (`größe` varchar(20))", db)
    with shared.connect(db, charset="latin1") as c, c.cursor() as cur:
        cur.execute("insert into `naïve` values ('Käse'), (%s)", ("œ €",))
        cur.execute("select * from `naïve` where `größe` <> 'é'")
        assert cur.description[0][0] == "größe"
        assert cur._result.fields[0].charsetnr == 8
        assert cur.fetchall() == (("Käse",), ("œ €",))
        cur.execute("select hex('ä')")
        assert cur.fetchall() == (("E4",),), "a literal is in the connection's character set"
    assert shared.query("select * from `naïve`", db) == [("Käse",), ("œ €",)]


def test_what_a_client_cannot_read(shared: Server, db: str) -> None:
    shared.query("create table t (s varchar(20), e enum('日', 'ä'), j json, b blob)", db)
    shared.query("insert into t values ('a 日本 ä', '日', '\"日ä\"', 0xe4)", db)
    with shared.connect(db, charset="latin1") as c, c.cursor() as cur:
        cur.execute("select * from t")
        assert cur.fetchall() == (("a ?? ä", "?", '"?ä"', b"\xe4"),)


def test_prepared_statements(shared: Server, db: str) -> None:
    with mysql.connector.connect(host="127.0.0.1", port=shared.port, user="root", database=db, charset="latin1", use_pure=True, autocommit=True) as c:
        cur = c.cursor()
        cur.execute("create table t (s varchar(20), b blob)")
        p = c.cursor(prepared=True)
        p.execute("insert into t values (?, ?)", ("Käse", b"\x04"))
        p.execute("insert into t select concat('ß', ?), _binary'\xe9'", ("x",))
        p.execute("select * from t where s <> ?", ("ü",))
        assert [(s, bytes(b)) for s, b in p.fetchall()] == [("Käse", b"\x04"), ("ßx", b"\xe9")]
    assert shared.query("select s from t", db) == [("Käse",), ("ßx",)]


def test_several_statements(shared: Server, db: str) -> None:
    with shared.connect(db, charset="latin1", client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS) as c, c.cursor() as cur:
        cur.execute("create table t (s varchar(20)); insert into t values ('ä'); insert into t values ('öä'); select * from t")
        while cur.nextset():
            rows = cur.fetchall()
        assert rows == (("ä",), ("öä",))


def test_the_handshake_names_it(mysql: str, shared: Server, db: str) -> None:
    """This client does not say SET NAMES."""
    shared.query("create table t (s varchar(20))", db)
    base = [mysql, "--no-defaults", "-h127.0.0.1", f"-P{shared.port}", "-uroot", "-N"]
    sql = "insert into t values ('ä'); select s, @@character_set_client, @@character_set_results from t"
    done = subprocess.run([*base, "--default-character-set=latin1", db], input=sql.encode("latin1"), capture_output=True, timeout=30)
    assert done.stdout == "ä\tlatin1\tlatin1\n".encode("latin1"), done.stderr
    assert shared.query("select s from t", db) == [("ä",)]


def test_bytes_that_are_no_text(shared: Server, db: str) -> None:
    with shared.connect(db, charset="ascii") as c, c.cursor() as cur:
        cur.execute("select 1")
        with pytest.raises(pymysql.err.Error) as e:
            cur.execute(b"select 'x\xff'")
        assert e.value.args[0] == 1300
        cur.execute("select 1")
        assert cur.fetchall() == ((1,),)
    with shared.connect(db) as c, c.cursor() as cur:
        cur.execute("set names binary")
        cur.execute("select 'ä'")
        assert cur.fetchall() == (("ä".encode(),),)


def test_bytes_stay_bytes(shared: Server, db: str) -> None:
    values = [bytes(range(256)), b"'\\\"\x00\n\x1a\xff`", b""]
    with shared.connect(db, charset="latin1") as c, c.cursor() as cur:
        cur.execute("create table t (id int auto_increment primary key, b blob, s varchar(9))")
        for v in values:
            cur.execute("insert into t (s, b) values (%s, %s)", ("_binary'ä", v))
        cur.execute("select b, s from t order by id")
        assert cur.fetchall() == tuple((v, "_binary'ä") for v in values)


@pytest.mark.parametrize(("sql", "number"), [
    ("set names klingon", 1115),
    ("set character_set_results = 'klingon'", 1115),
    ("create table t (s varchar(3) character set klingon)", 1115),
    ("set names utf16", 1231),
])
def test_unknown(shared: Server, db: str, sql: str, number: int) -> None:
    with shared.connect(db) as c, c.cursor() as cur, pytest.raises(pymysql.err.Error) as e:
        cur.execute(sql)
    assert e.value.args[0] == number
    assert "github" not in str(e.value)


def test_results_without_conversion(shared: Server, db: str) -> None:
    shared.query("create table t (s varchar(20))", db)
    shared.query("insert into t values ('ä')", db)
    with shared.connect(db, charset="latin1") as c, c.cursor() as cur:
        cur.execute("set character_set_results = null")
        cur.execute("select * from t")
        assert cur.fetchall() == (("ä".encode().decode("latin1"),),)
