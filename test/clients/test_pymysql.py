"""pymysql's cursors and calls."""

from __future__ import annotations

from pathlib import Path

import pymysql
import pytest

from server import Server


def test_cursors(shared: Server, db: str) -> None:
    with shared.connect(db) as c:
        with c.cursor() as cur:
            cur.execute("create table t (id int auto_increment primary key, s varchar(20))")
            assert cur.executemany("insert into t (s) values (%s)", [(f"it's {i}%",) for i in range(2500)]) == 2500
            assert cur.execute("update t set s = 'x' where id <= 3") == 3
            assert cur.execute("update t set s = 'x' where id <= 3") == 0, "rows that were so already are not counted"
            cur.execute("insert into t (s) values ('last')")
            assert cur.lastrowid == 2501
            cur.execute("select id, s from t where s = %s", ("it's 7%",))
            assert cur.fetchone() == (8, "it's 7%")
            assert [d[0] for d in cur.description] == ["id", "s"]
        with c.cursor(pymysql.cursors.DictCursor) as cur:
            cur.execute("select id, s from t where id in %s", ((1, 2501),))
            assert cur.fetchall() == [{"id": 1, "s": "x"}, {"id": 2501, "s": "last"}]
        with c.cursor(pymysql.cursors.SSCursor) as cur:
            cur.execute("select id from t")
            assert sum(1 for _ in cur) == 2501


def test_found_rows(shared: Server, db: str) -> None:
    with shared.connect(db, client_flag=pymysql.constants.CLIENT.FOUND_ROWS) as c, c.cursor() as cur:
        cur.execute("create table t (id int primary key)")
        cur.execute("insert into t values (1), (2)")
        assert cur.execute("update t set id = 1 where id = 1") == 1


def test_several_statements(shared: Server, db: str) -> None:
    with shared.connect(db, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS) as c, c.cursor() as cur:
        cur.execute("create table t (x int); insert into t values (1), (2); select * from t; select 'a;b'")
        results = [list(cur.fetchall())]
        while cur.nextset():
            results.append(list(cur.fetchall()))
        assert results == [[], [], [(1,), (2,)], [("a;b",)]]


def test_ping_reset_and_select_database(shared: Server, db: str) -> None:
    with shared.connect() as c, c.cursor() as cur:
        c.ping()
        c.select_db(db)
        cur.execute("select database()")
        assert cur.fetchall() == ((db,),)
        assert c.thread_id() > 0
        assert c.get_server_info().startswith("8.")
        cur.execute("set @x = 5")
        cur.execute("select @x, connection_id()")
        assert cur.fetchall() == ((5, c.thread_id()),)


def test_kill(shared: Server) -> None:
    with shared.connect() as one, shared.connect() as two:
        one.kill(two.thread_id())
        with pytest.raises((pymysql.err.Error, OSError)), two.cursor() as cur:
            for _ in range(100):
                cur.execute("select sleep(0.05)")


def test_load_data_local(shared: Server, db: str, tmp_path: Path) -> None:
    file = tmp_path / "goods.csv"
    file.write_text('id,name,price\n1,"tea, green",3.5\n2,"",\\N\n3,"quo""te",0\n', encoding="utf-8")
    with shared.connect(db, local_infile=True) as c, c.cursor() as cur:
        cur.execute("create table goods (id int primary key, name varchar(20), price double)")
        sql = f"load data local infile '{file}' into table goods fields terminated by ',' optionally enclosed by '\"' ignore 1 lines"
        assert cur.execute(sql) == 3
        cur.execute("select * from goods")
        assert cur.fetchall() == ((1, "tea, green", 3.5), (2, "", None), (3, 'quo"te', 0.0))


def test_handshake_of_autocommit(shared: Server, db: str) -> None:
    """A client that finds autocommit on may not switch it on, and one that wants it off has to."""
    for wanted in (True, False):
        with shared.connect(db, autocommit=wanted) as c, c.cursor() as cur:
            cur.execute("select @@autocommit")
            assert cur.fetchall() == ((int(wanted),),)
            assert c.get_autocommit() is wanted


def test_state_of_the_transaction(shared: Server, db: str) -> None:
    in_transaction = pymysql.constants.SERVER_STATUS.SERVER_STATUS_IN_TRANS
    with shared.connect(db) as c, c.cursor() as cur:
        cur.execute("create table t (x int)")
        assert not c.server_status & in_transaction
        cur.execute("begin")
        assert c.server_status & in_transaction
        cur.execute("insert into t values (1)")
        assert c.server_status & in_transaction
        cur.execute("commit")
        assert not c.server_status & in_transaction


def test_metadata_of_columns(shared: Server, db: str) -> None:
    """The character set of what is not text is `binary`, by which clients tell bytes from text."""
    with shared.connect(db) as c, c.cursor() as cur:
        cur.execute("create table t (i int, d date, f double, b bit(3), bl blob, vb varbinary(3), s varchar(3), tx text, ts timestamp(6) null, u int unsigned)")
        cur.execute("select * from t")
        fields = {f.name: f for f in cur._result.fields}
        assert {n for n, f in fields.items() if f.charsetnr == 63} == {"i", "d", "f", "b", "bl", "vb", "ts", "u"}
        assert fields["ts"].scale == 6
        assert fields["s"].charsetnr in (45, 46, 255)


@pytest.mark.parametrize("charset", ["utf8mb4", "latin1", "ascii"])
def test_character_sets(shared: Server, db: str, charset: str) -> None:
    word = {"utf8mb4": "日本 🦀", "latin1": "naïve", "ascii": "plain"}[charset]
    with shared.connect(db, charset=charset) as c, c.cursor() as cur:
        cur.execute("create table t (s varchar(20))")
        cur.execute("insert into t values (%s)", (word,))
        cur.execute("select * from t")
        assert cur.fetchall() == ((word,),)
    assert shared.query("select s from t", db) == [(word,)]
