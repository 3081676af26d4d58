"""Arrow clients: ADBC's Flight SQL driver, pandas and Polars over it, and pyarrow's Flight client."""

from __future__ import annotations

import datetime
import decimal
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.flight as flight
import pytest
from server import Server, binary, environment, free_port, run


class Arrow:
    """A server that lets Arrow clients in."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.uri = f"grpc://127.0.0.1:{port}"

    def connect(self, user: str = "root", password: str = "", **options: object) -> flightsql.Connection:
        return flightsql.connect(self.uri, db_kwargs={"username": user, "password": password}, **options)


@pytest.fixture
def arrow(repository: Path) -> Iterator[Arrow]:
    port = free_port()
    server = Server(repository, "--flight-port", str(port)).start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.02)
    yield Arrow(server, port)
    server.stop()


def test_adbc(arrow: Arrow) -> None:
    with arrow.connect(autocommit=True) as con, con.cursor() as cur:
        assert con.adbc_get_info()["vendor_name"] == "stemma"
        cur.execute("create table t (id int primary key, s varchar(10), d decimal(10,2))")
        cur.execute("insert into t values (1, 'a', 1.5), (2, NULL, -2.25)")
        cur.execute('select "id", s, d from t order by id')
        assert cur.fetchall() == [(1, "a", decimal.Decimal("1.50")), (2, None, decimal.Decimal("-2.25"))]
        cur.execute("select s from t where id = ?", (1,))
        assert cur.fetchone() == ("a",)
        cur.executemany("insert into t values (?, ?, ?)", [(3, "x", None), (4, "y", None)])
        cur.execute("select count(*) from t")
        assert cur.fetchone() == (4,)
        objects = con.adbc_get_objects(depth="tables").read_all().to_pylist()
        assert [t["table_name"] for c in objects for s in c["catalog_db_schemas"] for t in s["db_schema_tables"]] == ["t"]
        assert con.adbc_get_table_schema("t").field("d").type == pa.decimal128(10, 2)
        with pytest.raises(adbc_driver_manager.ProgrammingError) as missing:
            con.adbc_get_table_schema("nope")
        assert missing.value.status_code == adbc_driver_manager.AdbcStatusCode.NOT_FOUND


def test_transactions(arrow: Arrow) -> None:
    with arrow.connect() as con, con.cursor() as cur:
        cur.execute("create table t (id bigint primary key)")
        con.commit()
        cur.execute("insert into t values (1)")
        cur.adbc_ingest("t", pa.table({"id": [2]}), mode="append")
        cur.execute("select count(*) from t")
        assert cur.fetchone() == (2,)
        con.rollback()
        cur.execute("select count(*) from t")
        assert cur.fetchone() == (0,)
        cur.execute("insert into t values (3)")
        con.commit()
    assert arrow.server.query("select id from t", "shop") == [(3,)]


@pytest.mark.parametrize("mode", ["create", "append", "replace", "create_append"])
def test_ingest(arrow: Arrow, mode: str) -> None:
    frame = pa.table({"a": [1, 2], "b": ["x", None]})
    with arrow.connect(autocommit=True) as con, con.cursor() as cur:
        if mode in ("append", "replace"):
            cur.adbc_ingest("t", frame, mode="create")
        assert cur.adbc_ingest("t", frame, mode=mode) == 2
        cur.execute("select a, b from t")
        assert cur.fetch_arrow_table().to_pydict() == {
            "a": [1, 2] * (2 if mode == "append" else 1), "b": ["x", None] * (2 if mode == "append" else 1),
        }


def test_frames(arrow: Arrow) -> None:
    with arrow.connect(autocommit=True) as con:
        df = pd.DataFrame({"x": [1.5, None], "y": ["a", "b"], "at": pd.to_datetime(["2026-01-02 03:04:05.678", None])})
        assert df.to_sql("frame", con, index=False) == 2
        pd.testing.assert_frame_equal(pd.read_sql_table("frame", con, columns=["x", "y"]), df[["x", "y"]])
        assert pd.read_sql("select count(*) c from frame where y = 'b'", con)["c"].tolist() == [1]
        assert pl.read_database("select y from frame where x is not null", con)["y"].to_list() == ["a"]


def test_denied(arrow: Arrow) -> None:
    with arrow.connect(autocommit=True) as con, con.cursor() as cur:
        cur.execute("create user ann identified by 'pw'")
        cur.execute("create table t (id int primary key)")
        cur.execute("grant select on shop.t to ann")
    with pytest.raises(adbc_driver_manager.Error):
        arrow.connect("ann", "wrong", autocommit=True).cursor().execute("select 1")
    with arrow.connect("ann", "pw", autocommit=True) as con, con.cursor() as cur:
        cur.execute("select * from t")
        assert cur.fetchall() == []
        with pytest.raises(adbc_driver_manager.Error) as denied:
            cur.execute("insert into t values (1)")
            cur.fetchall()
        detail = json.loads(dict(denied.value.details)[b"stemma-error-bin"])
        assert (detail["code"], detail["mysql"]) == ("denied", 1142)


class Details(flight.ClientMiddlewareFactory):
    """Keeps what trailers say of errors."""

    def __init__(self) -> None:
        self.last: dict[str, object] = {}

    def start_call(self, info: object) -> flight.ClientMiddleware:
        factory = self

        class Call(flight.ClientMiddleware):
            def received_headers(self, headers: dict[str, list[bytes]]) -> None:
                if text := headers.get("stemma-error-bin"):
                    factory.last = json.loads(text[0])

        return Call()


def test_owner(repository: Path) -> None:
    """pyarrow's client over the socket of a private owner, which outlives the process that started it and goes by itself."""
    subprocess.run([binary(), "serve", "--private", str(repository)], check=True, timeout=30, env=environment(repository.parent))
    details = Details()
    client = flight.FlightClient(f"grpc+unix://{repository}/.stemma/sock", middleware=[details])

    def write(rows: pa.Table, **command: object) -> dict[str, object]:
        writer, reader = client.do_put(flight.FlightDescriptor.for_command(json.dumps({"write": command}).encode()), rows.schema)
        writer.write_table(rows, max_chunksize=1000)
        writer.done_writing()
        result = json.loads(reader.read().to_pybytes())
        writer.close()
        return result

    def read(**ticket: object) -> pa.Table:
        return client.do_get(flight.Ticket(json.dumps({"read": ticket}).encode())).read_all()

    frame = pa.table({
        "id": pa.array(range(5000)), "u": pa.array([2**64 - 1] * 5000, pa.uint64()), "f": [float("nan"), float("-inf"), None, 1.5, -0.0] * 1000,
        "s": ["", None, "😀", "a\0b", "x" * 5000] * 1000, "d": [datetime.date(1, 1, 1), None, datetime.date(9999, 12, 31)] * 1666 + [None, None],
        "n": pa.array([decimal.Decimal("-1.50"), None] * 2500, pa.decimal128(38, 2)), "b": [True, False, None, True, False] * 1000,
        "c": pa.array(["red", "green", None, "red", "red"] * 1000).dictionary_encode(), "l": [[1, 2], [], None, [3], [4]] * 1000,
    })
    made = write(frame, table="t", mode="create", primary_key=["id"], message="made")
    assert (made["inserted"], made["created"], len(str(made["commit"]))) == (5000, True, 52)
    back = read(table="t", ref="main")
    for name in frame.column_names:
        want = frame[name].to_pylist()
        got = back[name].to_pylist()
        if name == "l":
            want = [None if v is None else json.dumps(v, separators=(",", ":")) for v in want]
        assert str(got) == str(want), name
    assert write(frame, table="t", mode="merge")["unchanged"] == 5000
    assert write(frame.slice(1), table="t", mode="merge", message="one less") | {"commit": None} == made | {
        "rows": 4999, "inserted": 0, "deleted": 1, "unchanged": 4999, "created": False, "commit": None,
    }
    assert read(table="t", ref=made["commit"], columns=[]).num_rows == 5000
    with pytest.raises(pa.ArrowKeyError):
        read(table="tt")
    assert (details.last["code"], details.last["did_you_mean"]) == ("not-found", ["t"])
    assert "one less" in run(repository, "log")
    client.close()
    for _ in range(4):  # each probe is a client, so they come more rarely than it waits
        time.sleep(7)
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(f"{repository}/.stemma/sock") != 0:
                break
    else:
        pytest.fail("the owner stays")
    run(repository, "fsck")
