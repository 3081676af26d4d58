"""The command-line client, as people and scripts use it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from server import Server


class Client:
    def __init__(self, path: str, port: int, database: str) -> None:
        self.base = [path, "--no-defaults", "-h127.0.0.1", f"-P{port}", "-uroot", "--default-character-set=utf8mb4", database]

    def __call__(self, *args: str, stdin: str | None = None, fails: bool = False) -> str:
        """What the client writes; of one that fails as expected, what it says about that."""
        done = subprocess.run([*self.base, *args], input=stdin, capture_output=True, text=True, timeout=30)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout


@pytest.fixture
def sql(mysql: str, shared: Server, db: str) -> Client:
    client = Client(mysql, shared.port, db)
    client("-e", "create table goods (id int primary key, name varchar(20) not null default 'x', price decimal(8,2), key by_price (price))")
    client("-e", "insert into goods values (1, 'tea', 3.50), (2, 'rye', null)")
    return client


def test_query(sql: Client) -> None:
    assert sql("-t", "-e", "select * from goods") == (
        "+----+------+-------+\n"
        "| id | name | price |\n"
        "+----+------+-------+\n"
        "|  1 | tea  |  3.50 |\n"
        "|  2 | rye  |  NULL |\n"
        "+----+------+-------+\n"
    )
    assert sql("-e", "select * from goods") == "id\tname\tprice\n1\ttea\t3.50\n2\trye\tNULL\n"
    assert sql("-N", "-e", "select name from goods where id = 1; select 2") == "tea\n2\n"
    assert sql("-E", "-e", "select id, price from goods where id = 1") == (
        "*************************** 1. row ***************************\n   id: 1\nprice: 3.50\n"
    )
    assert "<td>tea</td>" in sql("-H", "-e", "select name from goods").lower()


def test_answers_of_statements(sql: Client) -> None:
    out = sql("-vvv", "-e", "insert into goods values (3, 'oil', 1); update goods set price = 2 where id > 1; delete from goods where id = 9")
    assert "Query OK, 1 row affected" in out
    assert "Rows matched: 2  Changed: 2  Warnings: 0" in out
    assert "Query OK, 0 rows affected" in out


def test_show(sql: Client, db: str) -> None:
    assert sql("-N", "-e", "show tables") == "goods\n"
    assert sql("-N", "-e", "show full tables") == "goods\tBASE TABLE\n"
    assert f"{db}\n" in sql("-N", "-e", "show databases")
    assert sql("-e", "describe goods") == (
        "Field\tType\tNull\tKey\tDefault\tExtra\n"
        "id\tint\tNO\tPRI\tNULL\t\n"
        "name\tvarchar(20)\tNO\t\tx\t\n"
        "price\tdecimal(8,2)\tYES\tMUL\tNULL\t\n"
    )
    assert sql("-r", "-N", "-e", "show create table goods") == (
        "goods\tCREATE TABLE `goods` (\n"
        "  `id` int NOT NULL,\n"
        "  `name` varchar(20) NOT NULL DEFAULT 'x',\n"
        "  `price` decimal(8,2),\n"
        "  PRIMARY KEY (`id`),\n"
        "  KEY `by_price` (`price`)\n"
        ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin\n"
    )
    assert [line.split("\t")[2] for line in sql("-N", "-e", "show index from goods").splitlines()] == ["PRIMARY", "by_price"]
    assert "goods\tInnoDB" in sql("-N", "-e", "show table status")
    assert "Uptime" in sql("-N", "-e", "show status like 'Uptime'")
    assert sql("-N", "-e", "show variables like 'autocommit'") == "autocommit\tON\n"
    assert "root" in sql("-N", "-e", "show processlist")


def test_script_on_standard_input(sql: Client, db: str) -> None:
    script = """
    -- a comment
    drop table if exists words;
    create table words (w varchar(20) primary key);
    insert into words values ('a;b'), ('日本 🦀'), ('it''s');
    delimiter //
    create procedure add_word(in word varchar(20)) begin insert into words values (word); insert into words values (concat(word, word)); end //
    delimiter ;
    call add_word('ha');
    use `%s`
    select w from words order by w;
    call dolt_commit('-Am', 'words');
    """ % db
    out = sql("-N", stdin=script).splitlines()
    assert out[:5] == ["a;b", "ha", "haha", "it's", "日本 🦀"]
    assert len(out[5]) == 32


def test_source(sql: Client, tmp_path: Path) -> None:
    (tmp_path / "more.sql").write_text("insert into goods values (7, 'fig', 7);\nselect count(*) from goods;\n")
    assert sql("-N", stdin=f"source {tmp_path}/more.sql\n") == "3\n"


def test_errors(sql: Client) -> None:
    assert "ERROR 1146 (42S02) at line 1: " in sql("-e", "select * from none_such", fails=True)
    assert "ERROR 1064 (42000) at line 2: " in sql(stdin="select 1;\nselec 2;\nselect 3;\n", fails=True)
    assert "ERROR 1062 (23000) at line 1: Duplicate entry '1' for key 'goods.PRIMARY'" in sql("-e", "insert into goods values (1, 'x', 1)", fails=True)


def test_force(sql: Client) -> None:
    done = subprocess.run([*sql.base, "-N", "--force"], input="select 1;\nselec 2;\nselect 3;\n", capture_output=True, text=True, timeout=30)
    assert done.stdout == "1\n3\n"


def test_load_data_local(sql: Client, tmp_path: Path) -> None:
    (tmp_path / "goods.tsv").write_text("10\tten\t1.5\n11\televen\t\\N\n")
    (tmp_path / "goods.csv").write_text('id;name;price\r\n20;"twen""ty";2\r\n21;"a;b";3\r\n')
    sql("--local-infile=1", "-e", f"load data local infile '{tmp_path}/goods.tsv' into table goods")
    sql("--local-infile=1", "-e", f"load data local infile '{tmp_path}/goods.csv' into table goods fields terminated by ';' enclosed by '\"'"
        " lines terminated by '\\r\\n' ignore 1 lines (id, name, price)")
    assert sql("-N", "-e", "select * from goods where id >= 10 order by id") == (
        "10\tten\t1.50\n11\televen\tNULL\n20\ttwen\"ty\t2.00\n21\ta;b\t3.00\n"
    )


def test_status(sql: Client, db: str) -> None:
    out = sql(stdin="status\n")
    assert f"Current database:\t{db}" in out
    assert "Current user:\t\troot@localhost" in out


def test_versions(sql: Client, db: str) -> None:
    sql("-e", "call dolt_commit('-Am', 'first'); update goods set name = 'tee' where id = 1; call dolt_commit('-am', 'second')")
    assert sql("-N", "-e", "select name from goods as of 'HEAD^' where id = 1") == "tea\n"
    assert sql("-N", "-e", "select message from dolt_log limit 2") == "second\nfirst\n"
    assert sql("-t", "-e", "select diff_type, from_name, to_name from dolt_diff('HEAD^', 'HEAD', 'goods')") == (
        "+-----------+-----------+---------+\n"
        "| diff_type | from_name | to_name |\n"
        "+-----------+-----------+---------+\n"
        "| modified  | tea       | tee     |\n"
        "+-----------+-----------+---------+\n"
    )
    client = Client(sql.base[0], int(sql.base[3].removeprefix("-P")), f"{db}@HEAD~1")
    assert client("-N", "-e", "select name from goods where id = 1") == "tea\n"


def test_dump(sql: Client, shared: Server, db: str) -> None:
    """mysqldump writes what the client can read back."""
    done = subprocess.run(
        [Path(sql.base[0]).with_name("mysqldump"), "--no-defaults", "-h127.0.0.1", f"-P{shared.port}", "-uroot", "--skip-lock-tables", "--single-transaction", db],
        capture_output=True, text=True, timeout=30,
    )
    assert done.returncode == 0, done.stderr
    shared.query(f"create database {db}_copy")
    Client(sql.base[0], shared.port, f"{db}_copy")(stdin=done.stdout)
    assert shared.query("select * from goods", f"{db}_copy") == shared.query("select * from goods", db)
    hashes = [shared.query("select dolt_hashof_table('goods')", d) for d in (db, f"{db}_copy")]
    assert hashes[0] == hashes[1]
