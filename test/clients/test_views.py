"""Views as clients make, read and look at them."""

from __future__ import annotations

import mysql.connector
import pymysql
import pytest

from server import Server


def test_life_of_a_view(shared: Server, db: str) -> None:
    with shared.connect(db, autocommit=True) as c, c.cursor() as cur:
        cur.execute("create table t (id int primary key, s varchar(20))")
        cur.execute("insert into t values (1, 'one'), (2, 'two')")
        cur.execute("create view `My View` (k, `text`) as select id, s from t where id > 0")
        assert cur.execute("select * from `my view` order by k desc") == 2
        assert cur.fetchall() == ((2, "two"), (1, "one"))
        assert [d[0] for d in cur.description] == ["k", "text"]
        cur.execute("call dolt_commit('-Am', 'one')")
        cur.execute("create or replace view `my view` as select count(*) as n from t")
        cur.execute("insert into t values (3, 'three')")
        cur.execute("select n from `my view`")
        assert cur.fetchall() == ((3,),)
        cur.execute("select * from `my view` as of 'HEAD'")
        assert cur.fetchall() == ((1, "one"), (2, "two"))
        cur.execute("show full tables")
        assert cur.fetchall() == (("my view", "VIEW"), ("t", "BASE TABLE"))
        cur.execute("show create view `my view`")
        assert cur.fetchone()[1] == "CREATE VIEW `my view` AS select count(*) as n from t"
        cur.execute("show create table `my view` as of 'HEAD'")
        assert "select id, s from t where id > 0" in cur.fetchone()[1]
        cur.execute("describe `my view`")
        assert [row[0] for row in cur.fetchall()] == ["n"]
        cur.execute("select table_name, table_type from information_schema.tables where table_schema = %s order by 1", (db,))
        assert cur.fetchall() == (("my view", "VIEW"), ("t", "BASE TABLE"))
        cur.execute("select view_definition, is_updatable from information_schema.views where table_schema = %s", (db,))
        assert cur.fetchall() == (("select count(*) as n from t", "NO"),)
        cur.execute("rename table `my view` to v")
        cur.execute("drop view v")
        with pytest.raises(pymysql.ProgrammingError) as e:
            cur.execute("select * from v")
        assert e.value.args[0] == 1146
        with pytest.raises(pymysql.OperationalError) as e:
            cur.execute("create view t as select 1")
        assert e.value.args[0] == 1050


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("create view v as select 2", 1050),
        ("create table v (x int)", 1050),
        ("drop view nothing", 1051),
        ("drop view t", 1051),
        ("select * from gone", 1356),
        ("select * from nothing", 1146),
        ("create or replace view v as select * from v", 1462),
        ("create view x as select nothing from t", 1054),
        ("create view x as select 1, 'un", 1064),
        ("insert into v values (1)", 1471),
        ("alter table v add column a int", 1347),
        ("create index i on v (id)", 1347),
    ],
)
def test_errors_of_views(shared: Server, db: str, statement: str, number: int) -> None:
    with shared.connect(db, autocommit=True) as c, c.cursor() as cur:
        cur.execute("create table t (id int primary key)")
        cur.execute("create table old (id int primary key)")
        cur.execute("create view v as select id from t")
        cur.execute("create view gone as select id from old")
        cur.execute("drop table old")
        with pytest.raises(pymysql.MySQLError) as e:
            cur.execute(statement)
        assert e.value.args[0] == number, e.value


def test_prepared_as_of(shared: Server, db: str) -> None:
    with shared.connect(db, autocommit=True) as c, c.cursor() as cur:
        cur.execute("create table t (id int primary key)")
        cur.execute("create view v as select id * 10 as k from t")
        for n in (1, 2):
            cur.execute("insert into t values (%s)", (n,))
            cur.execute("call dolt_commit('-Am', 'one')")
    with mysql.connector.connect(host="127.0.0.1", port=shared.port, user="root", database=db) as c, c.cursor(prepared=True) as cur:
        for ref, want in (("HEAD~1", [(10,)]), ("HEAD", [(10,), (20,)])):
            cur.execute("select k from v as of ? where k > ?", (ref, 5))
            assert cur.fetchall() == want
