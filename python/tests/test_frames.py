"""What becomes of frames on the way to Arrow, without a database."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import stemma
from stemma._frames import source
from stemma._pandas import from_arrow


def sent(data: object) -> pa.Table:
    """What would be written."""
    return source(data, "t").open().read_all()


def kinds(data: object) -> dict[str, str]:
    return {f.name: str(f.type) for f in sent(data).schema}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 3], "int64"),
        ([2**63, None], "uint64"),
        ([2**64, -1], "decimal128(20, 0)"),
        ([1.5, 2, None], "double"),
        ([True, None], "bool"),
        (["", None, "😀"], "large_string"),
        ([b"\0\xff", None], "large_binary"),
        ([Decimal("1.50"), Decimal("1E+3"), None], "decimal128(6, 2)"),
        ([Decimal("1" * 50)], "decimal256(50, 0)"),
        ([dt.date(1, 1, 1), None], "date32[day]"),
        ([dt.datetime(2026, 1, 2, 3, 4, 5, 6)], "timestamp[us]"),
        ([dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))], "timestamp[us, tz=UTC]"),
        ([dt.time(23, 59), None], "time64[us]"),
        ([dt.timedelta(hours=-5)], "duration[us]"),
        ([[1, "a"], {"k": None}, None], "extension<arrow.json>"),
        ([uuid.UUID(int=7), None], "extension<arrow.uuid>"),
        ([np.datetime64("2026-01-02"), None, np.datetime64("2026-01-02T03:04:05.000006000")], "timestamp[us]"),
        ([np.timedelta64(1500, "ms"), dt.timedelta(hours=1), None], "duration[us]"),
        ([None, None], "null"),
    ],
)
def test_objects(values: list[object], kind: str) -> None:
    frame = pd.DataFrame({"c": pd.Series(values, dtype=object)})
    table = sent(frame)
    assert str(table.schema.field("c").type) == kind
    assert table.column("c").null_count == sum(v is None for v in values)


def test_missing_values_of_pandas_are_null() -> None:
    frame = pd.DataFrame(
        {"o": pd.Series([np.nan, pd.NA, pd.NaT, None, "x"], dtype=object), "f": [np.nan, np.inf, -np.inf, 0.0, 1.0]}
    )
    table = sent(frame)
    assert table.column("o").to_pylist() == [None, None, None, None, "x"]
    assert table.column("f").to_pylist() == [None, np.inf, -np.inf, 0.0, 1.0]


@pytest.mark.parametrize(
    ("values", "row", "words"),
    [
        (["a", "b", 3], 2, "str, and int in row 2"),
        ([1, None, "x"], 2, "int, and str in row 2"),
        ([True, 1], 1, "bool, and int"),
        ([dt.date(2026, 1, 1), dt.datetime(2026, 1, 1)], 1, "date, and datetime"),
        (["a", object()], 1, "str, and object"),
        ([object()], 0, "object has no SQL type"),
        ([1.5, 2**53 + 1], 1, "which a float does not hold"),
        ([1, 10**70], 1, "65"),
        ([Decimal(1), Decimal("Infinity")], 1, "not a number"),
        (["ok", "\ud800"], 1, "cannot be stored as str"),
        ([[1], [float("nan")]], 1, "JSON"),
        ([3 + 4j], 0, "complex has no SQL type"),
        ([None, dt.time(1, tzinfo=dt.UTC)], 1, "has a time zone"),
        ([dt.time(1), dt.time(1, tzinfo=dt.UTC)], 1, "time, and time with a time zone in row 1"),
        ([None, np.datetime64(1, "ns")], 1, "whole microseconds"),
        ([np.timedelta64(1, "us"), np.timedelta64(1, "ns")], 1, "whole microseconds"),
        ([np.datetime64("20000-01-01")], 0, "out of range"),
    ],
)
def test_mixed_objects_are_refused(values: list[object], row: int, words: str) -> None:
    with pytest.raises(stemma.InvalidError, match=words) as e:
        source(pd.DataFrame({"fine": range(len(values)), "bad": pd.Series(values, dtype=object)}), "t")
    assert (e.value.column, e.value.row, e.value.table, e.value.code) == ("bad", row, "t", "invalid")


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a' is there twice"),
        (pd.DataFrame([[1, 2]], columns=["a", "A"]), "the same name in SQL"),
        (pd.DataFrame([[1, 2]]), "not text but int"),
        (pd.DataFrame({"": [1]}), "empty name"),
        (pd.DataFrame(index=range(3)), "no columns"),
        (pd.DataFrame({"a": [1]}, index=["x"]), "no name"),
        (pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)], names=["k", None])), "level 1 .* no name"),
        (pd.DataFrame({"k": [1]}, index=pd.Index([1], name="k")), "twice"),
        (pd.DataFrame({("a", "b"): [1]}), "several levels"),
        (pd.DataFrame({"a": pd.period_range("2026", periods=1)}), "period"),
        (pd.DataFrame({"a": [1j]}), "complex"),
        (pl.DataFrame({"a": [object()]}), "Object"),
        ("text", "not a frame"),
        ([1, 2], "not a frame"),
        ({"a": [1, 2], "b": [1]}, "different lengths"),
    ],
)
def test_frames_that_make_no_sense(frame: object, words: str) -> None:
    with pytest.raises(stemma.InvalidError, match=words):
        source(frame, "t")


def test_named_index_levels_are_columns() -> None:
    plain = pd.DataFrame({"v": [1, 2]})
    assert sent(plain).column_names == ["v"]
    assert sent(plain[plain.v > 1]).column_names == ["v"]
    assert sent(plain.set_index(pd.Index(["x", "y"], name="code"))).column_names == ["code", "v"]
    levels = pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["code", "n"])
    assert sent(plain.set_index(levels)).to_pylist() == [{"code": "x", "n": 1, "v": 1}, {"code": "y", "n": 2, "v": 2}]


def test_nanoseconds_in_a_zone_are_sent_as_such() -> None:
    """The server refuses what it cannot keep, and names the row; nothing is rounded on the way."""
    moments = pd.Series([pd.Timestamp(1, unit="ns", tz="UTC"), None], dtype=object)
    assert kinds(pd.DataFrame({"c": moments})) == {"c": "timestamp[ns, tz=UTC]"}


def test_categories() -> None:
    frame = pd.DataFrame(
        {"c": pd.Categorical(["b", None, "it's"], categories=["b", "it's", "unused"]), "n": pd.Categorical([3, 3, 1])}
    )
    src = source(frame, "t")
    assert src.schema.field("c").metadata == {b"stemma.type": b"enum('b','it''s','unused')"}
    table = src.open().read_all()
    assert table.column("c").to_pylist() == ["b", None, "it's"]
    assert str(table.schema.field("n").type) == "int64"
    assert len(src.notes) == 1
    assert "column n" in src.notes[0]
    holes = pd.DataFrame(
        {
            "i": pd.Categorical([3, None, 1]),
            "d": pd.Categorical([pd.Timestamp("2026-01-01"), None, None]),
            "n": pd.Categorical([np.int8(3), None, np.int8(4)], categories=pd.Index([3, 4], dtype="int8"), ordered=True),
            "o": pd.Categorical([dt.date(2026, 1, 1), None, dt.date(2026, 1, 2)]),
        }
    )
    assert {n: c.to_pylist() for n, c in zip("idno", sent(holes).columns, strict=True)} == {
        "i": [3, None, 1],
        "d": [dt.datetime(2026, 1, 1), None, None],
        "n": [3, None, 4],
        "o": [dt.date(2026, 1, 1), None, dt.date(2026, 1, 2)],
    }
    assert kinds(holes)["n"] == "int8"
    odd = source(pd.DataFrame({"c": pd.Categorical(["a", "A", "b "])}), "t")
    assert str(odd.schema.field("c").type) in {"string", "large_string"}


def test_polars_types() -> None:
    frame = pl.DataFrame(
        {
            "e": pl.Series(["a", None], dtype=pl.Enum(["b", "a"])),
            "l": [[1], None],
            "s": [{"x": 1}, {"x": 2}],
            "n": [float("nan"), None],
        }
    )
    src = source(frame, "t")
    assert src.schema.field("e").metadata == {b"stemma.type": b"enum('b','a')"}
    assert src.open().read_all().column("n").null_count == 1
    lazy = source(frame.lazy(), "t").open().read_all()
    assert lazy.num_rows == 2


def test_other_sources() -> None:
    table = pa.table({"a": [1, 2]})
    assert sent(table.to_batches()[0]) == table
    assert sent(table.to_reader()) == table
    assert sent([{"a": 1}, {"a": 2}]) == table
    assert sent({"a": [1, 2]}) == table

    class Stream:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return table.__arrow_c_stream__(requested_schema)

    assert sent(Stream()) == table
    encoded = pa.table({"r": pa.array(["x", "x"]).dictionary_encode(), "e": pa.RunEndEncodedArray.from_arrays([2], ["y"])})
    assert sent(encoded).column("e").to_pylist() == ["y", "y"]
    assert sent(encoded.select([0]).to_reader()).schema.field("r").type == pa.string()


def test_frames_of_what_was_read() -> None:
    table = pa.table(
        {
            "i": pa.array([1, 2], pa.int32()),
            "n": pa.array([1, None], pa.uint8()),
            "b": pa.array([None, True]),
            "s": pa.array(["x", None]),
            "d": pa.array([Decimal("1.10"), None]),
            "j": pa.ExtensionArray.from_storage(pa.json_(pa.large_utf8()), pa.array(['{"a": [1, 2.5]}', None], pa.large_utf8())),
            "t": pa.array([dt.datetime(2026, 1, 1), None], pa.timestamp("us")),
        }
    )
    frame = from_arrow(table)
    assert {c: str(t) for c, t in frame.dtypes.items()} == {
        "i": "int32", "n": "UInt8", "b": "boolean", "s": "str", "d": "object", "j": "object", "t": "datetime64[us]",
    }  # fmt: skip
    assert frame.j[0] == {"a": [1, 2.5]}
    assert frame.d[0] == Decimal("1.10")
    assert str(from_arrow(table, "pyarrow").dtypes["i"]) == "int32[pyarrow]"
    assert str(from_arrow(table, "numpy_nullable").dtypes["i"]) == "Int32"
    with pytest.raises(stemma.InvalidError, match="dtype_backend"):
        from_arrow(table, "numpy")  # type: ignore[arg-type]
    assert from_arrow(table.select([])).shape == (2, 0)


@pytest.fixture
def checked(repo: stemma.Repo) -> stemma.Repo:
    """A table with CHECK constraints, a generated column that is kept and one that is not, and a column with a default."""
    repo.sql(
        "create table c (id int primary key, price int, less int not null default 1, net int generated always as (price - less) stored,"
        " twice int generated always as (price * 2) virtual, constraint cheap check (price > less), check (net < 1000))"
    )
    repo.sql("insert into c (id, price) values (1, 10), (2, 20)")
    return repo


@pytest.mark.parametrize("order", [1, -1])
def test_checks_and_generated_columns(checked: stemma.Repo, order: int) -> None:
    frame = pd.DataFrame({"id": [1, 2, 3], "price": [10, 25, 30]})[::order]
    assert checked.write(frame, "c").changed == 2
    assert checked.sql("select id, price, less, net, twice from c order by id", frame="arrow").to_pylist() == [
        {"id": 1, "price": 10, "less": 1, "net": 9, "twice": 20},
        {"id": 2, "price": 25, "less": 1, "net": 24, "twice": 50},
        {"id": 3, "price": 30, "less": 1, "net": 29, "twice": 60},
    ]
    for mode in ("upsert", "merge", "append", "replace_rows", "create_append"):
        bad = pd.DataFrame({"id": [7, 8, 9], "price": [10, 1, 30]})[::order]
        with pytest.raises(stemma.ConstraintError, match=r"row 1: Check constraint \"cheap\" violated") as e:
            checked.write(bad, "c", mode=mode)
        assert (e.value.row, e.value.table) == (1, "c")
    assert len(checked.sql("select * from c")) == 3


def test_a_check_that_needs_a_column_that_the_frame_lacks(checked: stemma.Repo) -> None:
    checked.sql("update c set less = 8 where id = 1")
    for order in (1, -1):
        frame = pd.DataFrame({"id": [1, 2], "price": [8, 30]})[::order]
        with pytest.raises(stemma.ConstraintError, match="cheap") as e:
            checked.write(frame, "c", mode="upsert")
        assert e.value.row == (0 if order == 1 else 1)
    assert checked.sql("select price from c order by id").price.tolist() == [10, 20]


def test_a_generated_column_of_the_frame(checked: stemma.Repo) -> None:
    frame = checked.read_pandas("c", columns=["id", "price", "less", "net"])
    assert checked.write(frame, "c").changed == 0
    done = checked.write(frame.assign(price=[11, 20]), "c")
    assert (done.updated, done.unchanged) == (1, 1)
    assert any("column net is generated" in n for n in done.notes)
    assert checked.read_pandas("c", columns=["net"]).net.tolist() == [10, 19]


def test_many_rows_with_checks(checked: stemma.Repo) -> None:
    n = 70_000
    ids = np.arange(n)
    for order in (1, -1):
        frame = pd.DataFrame({"id": ids, "price": ids % 900 + 2})[::order]
        assert checked.write(frame, "c").rows == n
        assert checked.sql("select sum(net) s, count(*) c from c").values.tolist() == [[int((ids % 900 + 1).sum()), n]]
        bad = frame.assign(price=[*frame.price[:-1].add(1), 0])
        with pytest.raises(stemma.ConstraintError) as e:
            checked.write(bad, "c")
        assert e.value.row == n - 1
        checked.write(bad[:-1], "c", mode="upsert")
    assert checked.fsck().exit_code == 0
