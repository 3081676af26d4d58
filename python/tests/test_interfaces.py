"""What others call: ADBC, pandas and Polars over it, DuckDB, SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sqlalchemy as sa

import adbc_driver_stemma
import stemma
from adbc_driver_stemma import dbapi

FRAME = pd.DataFrame({"code": ["a", "b", "c"], "n": [1, 2, 3], "x": [0.5, None, 2.0]})


@pytest.fixture
def prices(repo: stemma.Repo) -> stemma.Repo:
    """A database with the table prices in two commits, the first tagged v1."""
    repo.write(FRAME, "prices", primary_key="code", message="first")
    repo.tag("v1")
    repo.write(FRAME.assign(n=[1, 5, 3]), "prices", message="second")
    return repo


@pytest.fixture
def con(prices: stemma.Repo) -> Iterator[dbapi.Connection]:
    with dbapi.connect(prices.uri) as con:
        yield con


def test_adbc(con: dbapi.Connection, prices: stemma.Repo) -> None:
    with con.cursor() as cur:
        cur.execute("select code, n from prices where n > ? order by code", (1,))
        assert cur.fetchall() == [("b", 5), ("c", 3)]
        cur.execute("insert into prices values ('d', 4, null)")
        cur.execute("select count(*) from prices")
        assert cur.fetchone() == (4,)
    con.rollback()
    with con.cursor() as cur:
        cur.execute("select count(*) from prices")
        assert cur.fetchone() == (3,)
        assert cur.adbc_ingest("fresh", pa.table({"id": [1, 2]}), mode="create") == 2
    con.commit()
    assert prices.read_pandas("fresh").id.tolist() == [1, 2]
    assert con.adbc_get_info()["vendor_name"].lower() == "stemma"
    assert con.adbc_get_table_schema("prices").names == ["code", "n", "x"]
    with con.cursor() as cur, pytest.raises(dbapi.Error, match="table not found: prises; did you mean 'prices'"):
        cur.execute("select * from prises")


def test_adbc_at_a_ref(prices: stemma.Repo) -> None:
    with dbapi.connect(prices.uri, {"stemma.ref": "v1"}) as con, con.cursor() as cur:
        cur.execute("select n from prices where code = 'b'")
        assert cur.fetchone() == (2,)
    with pytest.raises(stemma.InvalidError, match=r"no option 'stemma\.rev'"):
        dbapi.connect(prices.uri, {"stemma.rev": "v1"})


def test_adbc_keys(prices: stemma.Repo) -> None:
    with dbapi.connect(prices.uri, {"stemma.primary_key": "id"}) as con, con.cursor() as cur:
        cur.adbc_ingest("keyed", pa.table({"id": [1, 2]}), mode="create")
        con.commit()
    assert prices.resolve("WORKING", "keyed").primary_key == ("id",)


def test_pandas_over_adbc(con: dbapi.Connection, prices: stemma.Repo) -> None:
    assert pd.read_sql("select * from prices order by code", con).n.tolist() == [1, 5, 3]
    assert pd.read_sql_table("prices", con, columns=["n", "code"]).columns.tolist() == ["n", "code"]
    assert sorted(pd.read_sql_table("prices", con, columns=["code"]).code) == ["a", "b", "c"]
    assert FRAME.to_sql("copied", con, index=False) == 3
    assert prices.read_pandas("copied").code.tolist() == ["a", "b", "c"]
    assert FRAME.to_sql("copied", con, index=False, if_exists="append") == 3
    FRAME.head(1).to_sql("copied", con, index=False, if_exists="replace")
    assert len(prices.read_pandas("copied")) == 1
    with pytest.raises(ValueError, match="already exists"):
        FRAME.to_sql("copied", con, index=False)


def test_polars_over_adbc(con: dbapi.Connection, prices: stemma.Repo) -> None:
    frame = pl.from_pandas(FRAME)
    assert pl.read_database("select * from prices order by code", con)["n"].to_list() == [1, 5, 3]
    assert pl.read_database_uri("select n from prices order by code", f"stemma://{prices.uri}", engine="adbc")["n"].to_list() == [
        1,
        5,
        3,
    ]
    assert frame.write_database("polars_made", con, engine="adbc") == 3
    con.commit()
    assert frame.write_database("polars_made", con, engine="adbc", if_table_exists="append") == 3
    con.commit()
    assert len(prices.read_pandas("polars_made")) == 6


def test_versions() -> None:
    assert int(adbc_driver_stemma.__version__.split(".")[0]) >= 1
    assert set(dbapi.__all__) >= {"connect", "apilevel", "threadsafety", "paramstyle", "Error"}


def test_duckdb(prices: stemma.Repo) -> None:
    reader = prices.scan("prices", "v1")
    con = duckdb.connect()
    assert con.from_arrow(reader).aggregate("sum(n)").limit(1).fetchall() == [(6,)]
    made = con.sql("select range as id, range * 2 as v from range(1000)").to_arrow_reader()
    done = prices.write(made, "from_duckdb", primary_key="id")
    assert done.inserted == 1000
    con.close()


def test_sqlalchemy(prices: stemma.Repo) -> None:
    for url, want in ((f"stemma://{prices.uri}", [1, 5, 3]), (f"stemma://{prices.uri}?ref=v1", [1, 2, 3])):
        engine = sa.create_engine(url)
        with engine.connect() as con:
            assert [r.n for r in con.execute(sa.text("select n from prices order by code"))] == want
            assert sa.inspect(con).get_pk_constraint("prices")["constrained_columns"] == ["code"]
        assert pd.read_sql("select * from prices", engine).code.tolist() == ["a", "b", "c"]
        engine.dispose()
    engine = sa.create_engine(f"stemma://{prices.uri}")
    FRAME.to_sql("by_alchemy", engine, index=False)
    assert prices.read_pandas("by_alchemy").code.tolist() == ["a", "b", "c"]
    engine.dispose()
