"""pandas: frames written and read back, in their order and with their types."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from pandas.testing import assert_frame_equal

from server import Server


@pytest.fixture(params=["pymysql", "mysqlconnector"])
def engine(request: pytest.FixtureRequest, shared: Server, db: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(sa.URL.create(f"mysql+{request.param}", "root", host="127.0.0.1", port=shared.port, database=db))
    yield engine
    engine.dispose()


def frame(rows: int, seed: int = 1) -> pd.DataFrame:
    """Rows in no order, some of them equal, without a key."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "n": rng.integers(-(2**62), 2**62, rows),
        "x": rng.normal(size=rows) * 10.0 ** rng.integers(-200, 200, rows),
        "small": rng.integers(0, 3, rows).astype("int32"),
        "s": [f"row {i % 7} é" for i in range(rows)],
        "t": pd.Timestamp("2021-04-23") + pd.to_timedelta(rng.integers(0, 10**9, rows), unit="s"),
    }).astype({"t": "datetime64[us]"})


def test_replace_and_append(engine: sa.Engine) -> None:
    one, two = frame(300), frame(200, seed=2)
    for _ in range(2):
        one.to_sql("f", engine, if_exists="replace", index=False)
        back = pd.read_sql("select * from f", engine)
        assert_frame_equal(back, one.astype({"small": "int64"}))
    two.to_sql("f", engine, if_exists="append", index=False)
    back = pd.read_sql_table("f", engine)
    assert_frame_equal(back, pd.concat([one, two], ignore_index=True).astype({"small": "int64"}))
    with pytest.raises(ValueError, match="already exists"):
        one.to_sql("f", engine, index=False)


def test_missing_values(engine: sa.Engine) -> None:
    want = pd.DataFrame({
        "x": [1.5, np.nan, -0.25], "s": ["a", None, ""], "t": pd.to_datetime(["2021-04-23T01:02:03", None, "1999-12-31T00:00:00"]).astype("datetime64[us]"),
    })
    want.to_sql("f", engine, if_exists="replace", index=False)
    got = pd.read_sql("select * from f", engine)
    assert_frame_equal(got, want, check_dtype=False)
    assert got["x"].dtype == "float64" and got["t"].dtype.kind == "M"
    assert pd.read_sql("select count(x) x, count(s) s, count(t) t from f", engine).iloc[0].tolist() == [2, 2, 2]


def test_ten_thousand_rows(engine: sa.Engine) -> None:
    want = frame(10_000)
    began = time.monotonic()
    want.to_sql("f", engine, if_exists="replace", index=False)
    assert time.monotonic() - began < 20
    assert_frame_equal(pd.read_sql("select * from f", engine), want.astype({"small": "int64"}))
    chunks = list(pd.read_sql("select n from f", engine, chunksize=3000))
    assert [len(c) for c in chunks] == [3000, 3000, 3000, 1000]


def test_one_statement_for_many_rows(engine: sa.Engine) -> None:
    want = frame(3000)
    want.to_sql("f", engine, if_exists="replace", index=False, method="multi", chunksize=1000)
    assert_frame_equal(pd.read_sql("select * from f", engine), want.astype({"small": "int64"}))


def test_equal_rows_are_kept(engine: sa.Engine) -> None:
    want = pd.DataFrame({"a": [2, 1, 2, 2, 1], "b": ["x", "y", "x", "x", "z"]})
    want.to_sql("f", engine, index=False)
    assert_frame_equal(pd.read_sql("select * from f", engine), want)


def test_index_becomes_a_column(engine: sa.Engine) -> None:
    want = frame(50).set_index("n")[["x", "s"]]
    want.to_sql("f", engine)
    assert_frame_equal(pd.read_sql("select * from f", engine, index_col="n"), want)
    assert [i["column_names"] for i in sa.inspect(engine).get_indexes("f")] == [["n"]]


def test_types_of_choice(engine: sa.Engine) -> None:
    want = pd.DataFrame({"code": ["a", "b"], "price": [1.25, 2.5], "t": pd.to_datetime(["2021-04-23T01:02:03.000678", "2021-04-23T01:02:03.5"], format="ISO8601")})
    types = {"code": sa.String(8), "price": sa.Numeric(10, 2), "t": sa.dialects.mysql.DATETIME(fsp=6)}
    want.to_sql("f", engine, index=False, dtype=types)
    got = pd.read_sql("select * from f", engine, parse_dates=["t"])
    assert_frame_equal(got, want, check_dtype=False)


def test_parameters_and_percent_signs(engine: sa.Engine) -> None:
    pd.DataFrame({"s": ["50%", "%50", "a"]}).to_sql("f", engine, index=False)
    assert pd.read_sql(sa.text("select s from f where s like :p"), engine, params={"p": "50%"})["s"].tolist() == ["50%"]
    assert pd.read_sql("select s from f where s like '%%50'", engine)["s"].tolist() == ["%50"]


def test_booleans(engine: sa.Engine) -> None:
    pd.DataFrame({"b": [True, False]}).to_sql("f", engine, index=False)
    assert pd.read_sql_table("f", engine)["b"].tolist() == [1, 0]


def test_versions(engine: sa.Engine) -> None:
    """Two runs replace a table; the difference is that of their rows, and the older run can still be read."""
    one = frame(500)
    two = pd.concat([one.iloc[3:], frame(2, seed=9)], ignore_index=True)
    for f in (one, two):
        with engine.begin() as c:
            f.to_sql("f", c, if_exists="replace", index=False)
            c.execute(sa.text("call dolt_commit('-Am', 'a run')"))
    assert_frame_equal(pd.read_sql("select * from f as of 'HEAD^'", engine), one.astype({"small": "int64"}))
    assert_frame_equal(pd.read_sql("select * from f as of hashof('main')", engine), two.astype({"small": "int64"}))
    diff = pd.read_sql("select diff_type, count(*) n from dolt_diff('HEAD^', 'HEAD', 'f') group by diff_type order by diff_type", engine)
    assert diff.values.tolist() == [["added", 2], ["removed", 3]]
    log = pd.read_sql("select commit_hash, date, message from dolt_log", engine)
    assert log["message"].tolist()[:2] == ["a run", "a run"]
    assert log["date"].dtype.kind == "M"


def test_rollback_of_a_frame(engine: sa.Engine) -> None:
    want = frame(20)
    want.to_sql("f", engine, index=False)
    with engine.connect() as c, c.begin() as transaction:
        want.to_sql("f", c, if_exists="append", index=False)
        transaction.rollback()
    assert len(pd.read_sql("select * from f", engine)) == 20
