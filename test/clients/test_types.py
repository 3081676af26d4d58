"""Every column type there and back, through clients that write values into the statement and through those that send them beside it."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import mysql.connector
import pytest

from server import Server

BIG = "é🦀\n" * (5 * 1024 * 1024 // 7)
BLOB = bytes(range(256)) * (5 * 1024 * 1024 // 256)

# The type of a column, and values that come back as they went.
VALUES: list[tuple[str, list[Any]]] = [
    ("tinyint", [-128, 0, 127]),
    ("tinyint unsigned", [0, 255]),
    ("smallint", [-32768, 32767]),
    ("smallint unsigned", [65535]),
    ("mediumint", [-8388608, 8388607]),
    ("mediumint unsigned", [16777215]),
    ("int", [-2147483648, 2147483647]),
    ("int unsigned", [4294967295]),
    ("bigint", [-(2**63), 2**63 - 1]),
    ("bigint unsigned", [0, 2**63, 2**64 - 1]),
    ("bool", [0, 1]),
    ("decimal(65,30)", [
        Decimal("12345678901234567890123456789012345.123456789012345678901234567891"),
        Decimal("-99999999999999999999999999999999999.999999999999999999999999999999"),
        Decimal("0.000000000000000000000000000001"),
    ]),
    ("decimal(10,0)", [Decimal(-9999999999), Decimal(0)]),
    ("decimal(5,5)", [Decimal("0.12345"), Decimal("-0.99999")]),
    ("float", [1.5, -0.25, 3.402820018375656e38, 0.0]),
    ("double", [0.1, -1.7976931348623157e308, 2.2250738585072014e-308, 1 / 3, 123456789.123456789]),
    ("char(4)", ["", "a", "é🦀ab"]),
    ("varchar(200)", ["", "  blanks  ", "quote ' \" \\ % _ \n", "日本語 é 🦀"]),
    ("varchar(3)", ["a\0b"]),
    ("tinytext", ["x" * 255]),
    ("text", ["é" * 1000]),
    ("mediumtext", [BIG]),
    ("longtext", [BIG]),
    ("binary(4)", [b"\0\1\2\3", b"\xff" * 4]),
    ("varbinary(20)", [b"", b"\0'\"\\%\n\xff"]),
    ("tinyblob", [b"\0" * 255]),
    ("blob", [bytes(range(256))]),
    ("mediumblob", [BLOB]),
    ("longblob", [BLOB]),
    ("date", [dt.date(1000, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31)]),
    ("datetime", [dt.datetime(1000, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59)]),
    ("datetime(3)", [dt.datetime(2021, 4, 23, 22, 44, 41, 926000), dt.datetime(2021, 4, 23, 0, 0, 0, 7000)]),
    ("datetime(6)", [dt.datetime(2021, 4, 23, 22, 44, 41, 926001), dt.datetime(2021, 4, 3, 2, 4, 1, 678), dt.datetime(2021, 1, 1)]),
    ("timestamp", [dt.datetime(1970, 1, 1, 0, 0, 1), dt.datetime(2038, 1, 19, 3, 14, 7)]),
    ("timestamp(6)", [dt.datetime(2021, 4, 23, 22, 44, 41, 1)]),
    ("time", [dt.timedelta(0), dt.timedelta(hours=838, minutes=59, seconds=59), dt.timedelta(hours=1, minutes=2, seconds=3)]),
    ("time(6)", [dt.timedelta(hours=23, microseconds=5), dt.timedelta(seconds=1, milliseconds=500)]),
    ("year", [1901, 2021, 2155]),
    ("enum('red','green','blue')", ["red", "blue"]),
    ("set('a','b','c')", ["", "a", "a,c", "a,b,c"]),
    ("bit(1)", [0, 1]),
    ("bit(64)", [0, 2**64 - 1, 2**63]),
    ("json", ['{"a": [1, 2.5, null, true], "é🦀": {"b": "x\\"y"}}', "[]", '"text"', "null", "12345678901234567890"]),
]

# The connector takes the sign of a time for that of its days when the statement is prepared.
NEGATIVE = [dt.timedelta(hours=-838, minutes=-59, seconds=-59), dt.timedelta(hours=-3), dt.timedelta(microseconds=-1)]

Exchange = Callable[[str, list[Any]], list[Any]]


def through(connection: Any, cursor: dict[str, bool], mark: str) -> Exchange:
    """Writes values into a column of a type, and reads them back in order."""

    def exchange(column: str, values: list[Any]) -> list[Any]:
        cur = connection.cursor(**cursor)
        cur.execute(f"create table t (id int primary key, v {column})")
        for i, v in enumerate(values):
            cur.execute(f"insert into t values ({mark}, {mark})", (i, v))
        cur.execute("select v from t order by id")
        got = [row[0] for row in cur.fetchall()]
        cur.close()
        return got

    return exchange


# Not the C library's connector with parameters: of any server, MariaDB's too, it makes wrong values, and it corrupts its own memory.
@pytest.fixture(params=["pymysql", "connector", "connector-prepared", "connector-c"])
def exchange(request: pytest.FixtureRequest, shared: Server, db: str) -> Iterator[Exchange]:
    if request.param == "pymysql":
        connection = shared.connect(db)
        yield through(connection, {}, "%s")
    else:
        pure, prepared = "-c" not in request.param, "prepared" in request.param
        connection = mysql.connector.connect(host="127.0.0.1", port=shared.port, user="root", database=db, use_pure=pure, autocommit=True)
        yield through(connection, {"prepared": prepared}, "?" if prepared else "%s")
    connection.close()


def plain(column: str, value: Any) -> Any:
    """A value without what is a client's own way of giving it."""
    if value is None:
        return None
    if column == "json":
        return json.loads(value)
    if column.startswith("bit") and isinstance(value, bytes | bytearray):
        return int.from_bytes(value, "big")
    if column.startswith("set"):
        parts = value if isinstance(value, set) else set(text(value).split(","))
        return parts - {""}
    if isinstance(value, bytearray):
        value = bytes(value)
    if isinstance(value, bytes) and not ("binary" in column or "blob" in column):
        return value.decode()
    return value


def text(value: str | bytes | bytearray) -> str:
    return value if isinstance(value, str) else bytes(value).decode()


@pytest.mark.parametrize(("column", "values"), VALUES, ids=[c for c, _ in VALUES])
def test_round_trip(request: pytest.FixtureRequest, exchange: Exchange, column: str, values: list[Any]) -> None:
    if (request.node.callspec.params["exchange"], column) == ("connector-prepared", "year"):
        values = []  # this client takes a year's first byte for text
    values = [*values, None]
    got = [plain(column, v) for v in exchange(column, values)]
    want = [plain(column, v) for v in values]
    if column == "float":
        got, want = [v and float(f"{v:.6g}") for v in got], [v and float(f"{v:.6g}") for v in want]
    assert got == want
    assert not any(isinstance(v, float) and math.isnan(v) for v in got)


def test_negative_time(shared: Server, db: str) -> None:
    with shared.connect(db) as c:
        assert through(c, {}, "%s")("time(6)", NEGATIVE) == NEGATIVE
    assert shared.query("select cast(v as char) from t order by id", db) == [
        ("-838:59:59.000000",), ("-03:00:00.000000",), ("-00:00:00.000001",)
    ]


def test_binary_is_padded(exchange: Exchange) -> None:
    assert [bytes(v) for v in exchange("binary(4)", [b"", b"a"])] == [b"\0\0\0\0", b"a\0\0\0"]


def test_zero_dates(shared: Server, db: str) -> None:
    with shared.connect(db) as c, c.cursor() as cur:
        cur.execute("create table z (id int primary key, d date, t datetime, s timestamp null)")
        cur.execute("set sql_mode = ''")
        cur.execute("insert into z values (1, '0000-00-00', '0000-00-00 00:00:00', '0000-00-00 00:00:00')")
        cur.execute("select cast(d as char), cast(t as char), cast(s as char) from z")
        assert cur.fetchall() == (("0000-00-00", "0000-00-00 00:00:00", "0000-00-00 00:00:00"),)
        cur.execute("select * from z")
        assert cur.fetchall() == ((1, "0000-00-00", "0000-00-00 00:00:00", "0000-00-00 00:00:00"),)
        cur.execute("call dolt_commit('-Am', 'zero')")
        cur.execute("select count(*) from z as of 'HEAD' where d = '0000-00-00'")
        assert cur.fetchall() == ((1,),)


def test_types_of_columns(shared: Server, db: str) -> None:
    """What a client is told about the columns is what the table was made with."""
    columns = ",".join(f"c{i} {t}" for i, (t, _) in enumerate(VALUES))
    shared.query(f"create table t ({columns})", db)
    told = [row[1] for row in shared.query("describe t", db)]
    assert told == [{"bool": "tinyint(1)"}.get(t, t) for t, _ in VALUES]


def test_values_survive_a_commit(shared: Server, db: str) -> None:
    """All types in one row, as of a commit."""
    columns = [(f"c{i}", t, v[0]) for i, (t, v) in enumerate(VALUES) if t not in ("longtext", "longblob")]
    with shared.connect(db) as c, c.cursor() as cur:
        cur.execute(f"create table t ({','.join(f'{n} {t}' for n, t, _ in columns)})")
        cur.execute(f"insert into t values ({','.join(['%s'] * len(columns))})", [v for _, _, v in columns])
        cur.execute("select * from t")
        (before,) = cur.fetchall()
        cur.execute("call dolt_commit('-Am', 'all types')")
        cur.execute("delete from t")
        cur.execute("select * from t as of 'HEAD'")
        assert cur.fetchall() == (before,)


def test_defaults_and_generated_columns(shared: Server, db: str) -> None:
    shared.query(
        "create table t (id int auto_increment primary key, a int default 7, s varchar(10) default 'x', at timestamp(6) default current_timestamp(6),"
        " twice int as (a * 2) stored, thrice int as (a * 3), u varchar(36) default (uuid()))", db
    )
    with shared.connect(db) as c, c.cursor() as cur:
        cur.execute("insert into t () values ()")
        assert cur.lastrowid == 1
        cur.execute("insert into t (a) values (1), (2)")
        assert (cur.rowcount, cur.lastrowid) == (2, 2)
        cur.execute("select id, a, s, twice, thrice, length(u), at is not null from t")
        assert cur.fetchall() == ((1, 7, "x", 14, 21, 36, 1), (2, 1, "x", 2, 3, 36, 1), (3, 2, "x", 4, 6, 36, 1))
