"""What is written comes back: for pandas, Polars and Arrow, whatever the frame holds."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from uuid import UUID

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from pandas.testing import assert_frame_equal

import stemma

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
serial = itertools.count(1)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", " ", "NULL", "nan", "😀", "a\0b", "00012", "'; --", "\\N"]
)
DATES = st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))
MOMENTS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))
INSTANTS = st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2038, 1, 18), timezones=st.just(dt.UTC))
SPANS = st.timedeltas(dt.timedelta(hours=-838), dt.timedelta(hours=838))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT.filter(lambda s: "\0" not in s),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "ä"]), inner, max_size=3),
    max_leaves=5,
).filter(lambda v: isinstance(v, (list, dict)))


def decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    return st.integers(-(10**digits) + 1, 10**digits - 1).map(lambda n: Decimal((int(n < 0), tuple(map(int, str(abs(n)))), -scale)))


# Arrow's type of a column, the values it can have, and the type that comes back.
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy, pa.DataType]] = {
    "i8": (pa.int8(), st.integers(-128, 127), pa.int8()),
    "i64": (pa.int64(), st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "u16": (pa.uint16(), st.integers(0, 2**16 - 1), pa.uint16()),
    "u64": (pa.uint64(), st.integers(0, 2**64 - 1), pa.uint64()),
    "b": (pa.bool_(), st.booleans(), pa.bool_()),
    "f32": (pa.float32(), st.floats(width=32), pa.float32()),
    "f64": (pa.float64(), st.floats(), pa.float64()),
    "dec": (pa.decimal128(20, 4), decimals(20, 4), pa.decimal128(20, 4)),
    "wide": (pa.decimal256(60, 10), decimals(60, 10), pa.decimal256(60, 10)),
    "s": (pa.string(), TEXT, pa.large_string()),
    "bin": (pa.binary(), st.binary(max_size=8), pa.large_binary()),
    "d": (pa.date32(), DATES, pa.date32()),
    "ts": (pa.timestamp("us"), MOMENTS, pa.timestamp("us")),
    "tz": (pa.timestamp("us", "UTC"), INSTANTS, pa.timestamp("us", "UTC")),
    "dur": (pa.duration("us"), SPANS, pa.duration("us")),
}


@st.composite
def arrow_tables(draw: st.DrawFn) -> pa.Table:
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=5, unique=True))
    n = draw(st.integers(0, 6))
    made = {m: pa.array(draw(st.lists(st.none() | COLUMNS[m][1], min_size=n, max_size=n)), COLUMNS[m][0]) for m in names}
    return pa.table({"id": pa.array(range(n), pa.int64()), **made})


def same(a: object, b: object) -> bool:
    return a == b or (isinstance(a, float) and isinstance(b, float) and np.isnan(a) and np.isnan(b))


@quick
@given(data=arrow_tables())
def test_arrow(shared: stemma.Repo, data: pa.Table) -> None:
    table = f"arrow{next(serial)}"
    shared.write(data, table, primary_key="id")
    back = shared.read_arrow(table)
    assert back.column_names == data.column_names
    for name in data.column_names:
        assert back.schema.field(name).type == (COLUMNS[name][2] if name in COLUMNS else pa.int64())
        have, want = back.column(name).to_pylist(), data.column(name).to_pylist()
        assert all(map(same, have, want)), (name, have, want)
        assert len(have) == len(want)
    again = shared.write(data, table)
    assert (again.changed, again.unchanged) == (0, data.num_rows)
    shared.sql(f"drop table {table}", frame="arrow")


@st.composite
def pandas_frames(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(0, 6))

    def some(values: st.SearchStrategy, null: object = None) -> list:
        return draw(st.lists(values | st.just(null), min_size=n, max_size=n))

    def all_(values: st.SearchStrategy) -> list:
        return draw(st.lists(values, min_size=n, max_size=n))

    frame = pd.DataFrame(
        {
            "int": np.array(all_(st.integers(-(2**63), 2**63 - 1)), dtype="int64"),
            "uint": np.array(all_(st.integers(0, 2**64 - 1)), dtype="uint64"),
            "float": np.array(some(st.floats(), float("nan")), dtype="float64"),
            "bool": np.array(all_(st.booleans()), dtype="bool"),
            "str": pd.array(some(TEXT), dtype="str"),
            "when": pd.Series(some(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))), dtype="datetime64[us]"),
            "zone": pd.Series(some(INSTANTS), dtype="datetime64[us, UTC]"),
            "span": pd.Series(some(SPANS), dtype="timedelta64[us]"),
            "cat": pd.Categorical(some(st.sampled_from(["b", "a", "it's"])), categories=["b", "it's", "a"]),
            "date": pd.Series(some(DATES), dtype=object),
            "dec": pd.Series(some(decimals(10, 3)), dtype=object),
            "bytes": pd.Series(some(st.binary(max_size=5)), dtype=object),
        }
    )
    nullable = some(st.integers(-5, 5))
    frame["null_int"] = pd.array(nullable, dtype="Int64") if any(v is None for v in nullable) else np.array(nullable, dtype="int64")
    flags = some(st.booleans())
    frame["null_bool"] = pd.array(flags, dtype="boolean") if any(v is None for v in flags) else np.array(flags, dtype="bool")
    nested = np.empty(n, dtype=object)
    for i, v in enumerate(some(JSON)):
        nested[i] = v
    frame["json"] = pd.Series(nested, dtype=object)
    chosen = draw(st.lists(st.sampled_from(list(frame.columns)), min_size=1, unique=True))
    frame = frame[chosen]
    frame.insert(0, "id", np.arange(n, dtype="int64"))
    return frame


@quick
@given(data=pandas_frames())
def test_pandas(shared: stemma.Repo, data: pd.DataFrame) -> None:
    table = f"pandas{next(serial)}"
    shared.write(data, table, primary_key="id")
    back = shared.read_pandas(table)
    empty = [c for c in data.columns if data[c].isna().all()]  # of None alone nothing says which type was meant
    typed = [c for c in data.columns if c not in empty or data[c].dtype != object]
    assert_frame_equal(back[typed], data[typed], check_exact=True)
    for c in empty:
        assert back[c].isna().all()
    assert shared.write(data, table).changed == 0
    shared.sql(f"drop table {table}", frame="arrow")


@st.composite
def polars_frames(draw: st.DrawFn) -> pl.DataFrame:
    n = draw(st.integers(0, 6))

    def some(values: st.SearchStrategy) -> list:
        return draw(st.lists(st.none() | values, min_size=n, max_size=n))

    kinds = {
        "i": (st.integers(-(2**31), 2**31 - 1), pl.Int32),
        "u": (st.integers(0, 2**64 - 1), pl.UInt64),
        "f": (st.floats(), pl.Float64),
        "b": (st.booleans(), pl.Boolean),
        "s": (TEXT, pl.String),
        "bin": (st.binary(max_size=5), pl.Binary),
        "d": (DATES, pl.Date),
        "ts": (MOMENTS, pl.Datetime("us")),
        "tz": (INSTANTS, pl.Datetime("us", "UTC")),
        "span": (SPANS, pl.Duration("us")),
        "dec": (decimals(18, 2), pl.Decimal(20, 2)),
        "e": (st.sampled_from(["x", "y"]), pl.Enum(["y", "x"])),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, unique=True))
    return pl.DataFrame(
        [pl.Series("id", range(n), dtype=pl.Int64), *(pl.Series(c, some(kinds[c][0]), dtype=kinds[c][1]) for c in chosen)]
    )


@quick
@given(data=polars_frames())
def test_polars(shared: stemma.Repo, data: pl.DataFrame) -> None:
    table = f"polars{next(serial)}"
    shared.write(data, table, primary_key="id")
    back = shared.read_polars(table)
    assert back.schema == data.schema
    assert back.equals(data, null_equal=True)
    shared.sql(f"drop table {table}", frame="arrow")


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_nested(shared: stemma.Repo, table: str, library: str) -> None:
    rows = pa.table({"id": [1, 2], "l": [[1, None], None], "s": [{"x": 1, "y": ["ä"]}, {"x": None, "y": []}]})
    data = {"pandas": rows.to_pandas(types_mapper=pd.ArrowDtype), "polars": pl.from_arrow(rows), "arrow": rows}[library]
    shared.write(data, table, primary_key="id")
    back = shared.read_pandas(table)
    assert back.l.tolist() == [[1, None], None]
    assert back.s.tolist() == [{"x": 1, "y": ["ä"]}, {"x": None, "y": []}]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("library", ["objects", "numpy", "pandas", "polars", "arrow"])
def test_no_numbers_within_lists(shared: stemma.Repo, table: str, library: str, number: float) -> None:
    """JSON has no NaN: it is neither dropped nor made a text."""
    lists = [[1.5], None, [0.5, number]]
    objects = pd.DataFrame({"id": [1, 2, 3], "c": pd.Series(lists, dtype=object)})
    data: object = {
        "objects": objects,
        "numpy": objects.assign(c=[np.array([1.5]), None, np.array([0.5, number])]),
        "pandas": pd.DataFrame({"id": [1, 2, 3], "c": pd.array(lists, dtype=pd.ArrowDtype(pa.list_(pa.float64())))}),
        "polars": pl.DataFrame({"id": [1, 2, 3], "c": lists}, strict=False),
        "arrow": pa.table({"id": [1, 2, 3], "c": pa.array([{"x": v} for v in lists])}),
    }[library]
    with pytest.raises(stemma.InvalidError, match=r"row 2.*JSON has no|row 2.*JSON has not") as e:
        shared.write(data, table, primary_key="id")
    assert (e.value.column, e.value.row) == ("c", 2)
    with pytest.raises(stemma.NotFoundError):
        shared.read_arrow(table)


FLOATS = st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=4)


@quick
@given(lists=st.lists(st.none() | FLOATS, min_size=1, max_size=4), narrow=st.booleans())
def test_numbers_within_lists(shared: stemma.Repo, lists: list[list[float | None] | None], narrow: bool) -> None:
    """Each is the float that it was, also -0.0 and one without a fraction; from Arrow and from objects the same."""
    name = f"lists{next(serial)}"
    ids = list(range(len(lists)))
    kind = pa.float32() if narrow else pa.float64()
    if narrow:
        lists = [v and [None if x is None or abs(x) > 3e38 else float(np.float32(x)) for x in v] for v in lists]
    shared.write(pa.table({"id": ids, "c": pa.array(lists, pa.list_(kind))}), name, primary_key="id")
    have = shared.read_pandas(name).c.tolist()
    if narrow:
        have = [v and [None if x is None else float(np.float32(x)) for x in v] for v in have]
    assert repr(have) == repr(lists)
    if not narrow and any(v is not None for v in lists):
        assert shared.write(pd.DataFrame({"id": ids, "c": pd.Series(lists, dtype=object)}), name).changed == 0
    shared.sql(f"drop table {name}", frame="arrow")


def test_what_is_text_within_lists_is_said(shared: stemma.Repo, table: str) -> None:
    many = [Decimal("1.10"), dt.date(2020, 1, 2), UUID(int=1), np.datetime64("2020-01-02T03:04:05.000000006")]
    wrote = shared.write({"id": [1, 2], "c": [many, {1: {3, 2}, "n": pd.NaT}]}, table, primary_key="id")
    assert wrote.notes == (
        "column c: sets are stored as sorted lists",
        "column c: UUIDs, dates and times, decimals and keys that are numbers in lists and dicts are stored as text",
    )
    assert shared.read_pandas(table).c.tolist() == [
        ["1.10", "2020-01-02", "00000000-0000-0000-0000-000000000001", "2020-01-02T03:04:05.000000006"],
        {"1": [2, 3], "n": None},
    ]
    arrow = pa.table({"id": [1], "c": pa.array([[{"d": Decimal("1.10"), "t": dt.date(2020, 1, 2), "b": b"x"}]])})
    for data in (arrow, pl.from_arrow(arrow), arrow.to_reader(), arrow.to_pandas(types_mapper=pd.ArrowDtype)):
        wrote = shared.write(data, table, mode="replace", primary_key="id")
        assert wrote.notes == ("column c: bytes (in base64), dates and times and decimals in lists and structs are stored as text",)
        assert shared.read_pandas(table).c[0] == [{"b": "eA==", "d": "1.10", "t": "2020-01-02"}]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1: "a", "1": "b"}, "the keys 1 and '1' are one"),
        ({"deep": [{None: 1}]}, "a key is text, not NoneType"),
        ({True: 1}, "a key is text, not bool"),
        ({"in": np.array([{1: "a", "1": "b"}], dtype=object)}, "the keys 1 and '1' are one"),
        ([dt.timedelta(1)], "timedelta"),
        ([b"x"], "bytes"),
        ([Decimal("NaN")], "JSON has no NaN"),
        ([1j], "complex"),
        (["\ud800"], "surrogates"),
    ],
)
def test_what_json_would_lose_is_refused(shared: stemma.Repo, table: str, value: object, words: str) -> None:
    with pytest.raises(stemma.InvalidError, match=words) as e:
        shared.write({"id": [1, 2], "c": [None, value]}, table, primary_key="id")
    assert (e.value.column, e.value.row) == ("c", 1)


def test_arrays_and_uuids_within_json(shared: stemma.Repo, table: str) -> None:
    cells = [{"zero": np.array(5), "two": np.array([[1, 2], [3, 4]])}, {"zero": np.array([], dtype=object)}]
    shared.write({"id": [1, 2], "c": cells}, table, primary_key="id")
    assert shared.read_pandas(table).c.tolist() == [{"two": [[1, 2], [3, 4]], "zero": 5}, {"zero": []}]
    one = UUID("550e8400-e29b-41d4-a716-446655440000")
    ids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([one.bytes], pa.binary(16)))
    lists = pa.ListArray.from_arrays([0, 1], ids)
    wrote = shared.write(pa.table({"id": [1], "c": lists}), table, mode="replace", primary_key="id")
    assert wrote.notes == ("column c: UUIDs in lists and structs are stored as text",)
    assert shared.read_pandas(table).c[0] == [str(one)]


def test_a_type_that_is_not_kept_is_said(shared: stemma.Repo, table: str) -> None:
    frame = pd.DataFrame(
        {
            "id": [1, 2],
            "at": [dt.time(1, 2), None],
            "grade": pd.Categorical(["b", "a"], categories=["b", "a"], ordered=True),
            "key": [UUID(int=1), None],
            "half": np.array([0.5, 2], dtype="float16"),
            "none": [None, None],
        }
    )
    wrote = shared.write(frame, table, primary_key="id")
    kept = (
        "column grade: ENUM keeps the order of its values, but not that the category is ordered",
        "column at: times of day are stored as TIME, which is read as a span of time",
        "column key: UUIDs are stored as text",
        "column half: floats of 16 bits are stored in 32",
    )
    assert wrote.notes == (*kept, "column none: is text, as it has only NULL, which says of no type")
    assert "note: column key: UUIDs are stored as text" in repr(wrote)
    back = shared.read_pandas(table)
    assert back["at"][0] == pd.Timedelta(hours=1, minutes=2)
    assert back.grade.cat.categories.tolist() == ["b", "a"]
    assert (back.key[0], back.half.dtype, back.half.tolist()) == (str(UUID(int=1)), "float32", [0.5, 2])
    assert shared.write(frame, table).notes == kept  # the column is there, and has a type
    assert shared.write(pl.DataFrame({"n": [None]}), table, mode="replace").notes == (
        "column n: is text, as it has only NULL, which says of no type",
    )


def test_a_struct_with_a_field_twice(shared: stemma.Repo, table: str) -> None:
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(stemma.InvalidError, match='field "a" twice'):
        shared.write(pa.table({"id": [1], "c": twice}), table, primary_key="id")


def test_index(shared: stemma.Repo, table: str) -> None:
    data = pd.DataFrame({"v": [1, 2]}, index=pd.Index(["x", "y"], name="code"))
    shared.write(data, table, primary_key="code")
    assert shared.read_pandas(table).columns.tolist() == ["code", "v"]
    assert_frame_equal(shared.read_pandas(table).set_index("code"), data)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([0, 1], pa.timestamp("ns")), "nanosecond|microsecond"),
        (pa.array([dt.timedelta(0), dt.timedelta(days=40)]), "row 1"),
        (pa.array([Decimal(0), Decimal(10**66)], pa.decimal256(70, 0)), "precision|65|DECIMAL"),
    ],
)
def test_what_cannot_be_held_is_refused(shared: stemma.Repo, table: str, column: pa.Array, words: str) -> None:
    with pytest.raises(stemma.StemmaError, match=words) as e:
        shared.write(pa.table({"id": [1, 2], "c": column}), table, primary_key="id")
    assert "c" in (e.value.column, e.value.message.split('"')[1])
    with pytest.raises(stemma.NotFoundError):
        shared.read_arrow(table)


def test_values_of_100_mb(repo: stemma.Repo) -> None:
    """Longer than a message of gRPC, a packet of MySQL or a frame of HTTP/2 may be: they come in and go out whole."""
    text, blob = "a line of 'text', ü\n" * 4_762_000, bytes(range(256)) * 390_700
    assert len(text.encode()) > 100_000_000 < len(blob)
    wrote = repo.write({"id": [1, 2], "s": [text, None], "b": [None, blob]}, "t", primary_key="id", message="long")
    assert wrote.inserted == 2
    read = repo.read_arrow("t")
    assert read["s"].to_pylist() == [text, None]
    assert read["b"].to_pylist() == [None, blob]
    frame = repo.read_pandas("t", columns=["id", "s"])
    assert frame["s"][0] == text
    sizes = repo.sql("select length(s), length(b) from t order by id", frame="arrow").to_pylist()
    assert [list(row.values()) for row in sizes] == [[len(text.encode()), None], [None, len(blob)]]
    changed = repo.write({"id": [1], "s": [text + "x"], "b": [None]}, "t", mode="upsert")
    assert (changed.inserted, changed.updated) == (0, 1)
