"""A database as users have it: reading at refs, writing in every mode, transactions, verbs, errors."""

from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import stemma
from parts import read_by_workers


@pytest.fixture
def prices(repo: stemma.Repo) -> pd.DataFrame:
    """The table prices in two commits on main, tagged v1 and v2."""
    frame = pd.DataFrame({"code": ["a", "b", "c"], "n": [1, 2, 3]})
    repo.write(frame, "prices", primary_key="code", message="first")
    repo.tag("v1")
    frame = frame.assign(n=[1, 5, 3])
    repo.write(frame, "prices", message="second")
    repo.tag("v2")
    return frame


def test_read_at_refs(repo: stemma.Repo, prices: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = repo.log()[1].commit_hash
    for ref in ("v1", "HEAD~1", "main~1", commit, commit[:10]):
        assert repo.read_pandas("prices", ref).n.tolist() == [1, 2, 3], ref
    for ref in (None, "main", "HEAD", "v2"):
        assert repo.read_pandas("prices", ref).equals(prices)
    # As in the seed: two positional arguments and no connection.
    monkeypatch.setenv("STEMMA_URI", repo.uri)
    assert stemma.read_pandas("prices", "v1").n.tolist() == [1, 2, 3]
    assert stemma.read_polars("prices", "v1")["n"].to_list() == [1, 2, 3]
    assert stemma.sql("select sum(n) s from prices", ref="v1").s[0] == 6
    assert stemma.read_arrow("prices").column("n").to_pylist() == [1, 5, 3]
    assert stemma.scan("prices").read_all().num_rows == 3


def test_projection_and_filter(repo: stemma.Repo, prices: pd.DataFrame) -> None:
    assert repo.read_pandas("prices", columns=["n"]).columns.tolist() == ["n"]
    assert repo.read_pandas("prices", columns=["n", "code"]).columns.tolist() == ["n", "code"]
    assert repo.read_pandas("prices", "v1", where="n > 1 and code like 'b%'").code.tolist() == ["b"]
    assert repo.scan("prices", rows=(1, 3)).read_all().column("code").to_pylist() == ["b", "c"]
    assert len(list(repo.scan("prices", batch_rows=1))) == 3
    with pytest.raises(stemma.InvalidError, match=r"columns=\['n'\]"):
        repo.read_arrow("prices", columns="n")
    with pytest.raises(stemma.InvalidError, match="in quotes"):
        repo.read_arrow("prices", 123)  # type: ignore[arg-type]


def test_frames_of_sql(repo: stemma.Repo, prices: pd.DataFrame) -> None:
    query = "select code, n from prices where n > ? order by n desc"
    assert repo.sql(query, params=[1]).code.tolist() == ["b", "c"]
    assert isinstance(repo.sql(query, params=[1], frame="polars"), pl.DataFrame)
    assert isinstance(repo.sql(query, params=[1], frame="arrow"), pa.Table)
    with pytest.raises(stemma.InvalidError, match="'pandas', 'polars' or 'arrow'"):
        repo.sql("select 1", frame="spark")  # type: ignore[call-overload]
    with pytest.raises(stemma.InvalidError, match="cannot be object"):
        repo.sql("select ?", params=[object()])
    with pytest.raises(stemma.StemmaError):
        repo.sql("insert into prices values ('x', 1)", ref="v1")
    repo.sql("insert into prices values (?, ?)", params=["d", 4])
    assert repo.read_pandas("prices").code.tolist() == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("mode", "want"),
    [
        ("merge", {"b": 7, "d": 4}),
        ("upsert", {"a": 1, "b": 7, "c": 3, "d": 4}),
        ("replace", {"b": 7, "d": 4}),
        ("replace_rows", {"b": 7, "d": 4}),
    ],
)
def test_modes(repo: stemma.Repo, prices: pd.DataFrame, mode: str, want: dict[str, int]) -> None:
    done = repo.write(pd.DataFrame({"code": ["b", "d"], "n": [7, 4]}), "prices", mode=mode)
    frame = repo.read_pandas("prices")
    assert dict(zip(frame.code, frame.n, strict=True)) == want
    assert (done.rows, done.commit, done.branch) == (2, None, "main")
    assert "uncommitted changes on main" in repr(done)
    if mode == "merge":
        assert (done.inserted, done.updated, done.deleted, done.unchanged) == (1, 1, 2, 0)


def test_modes_that_fail(repo: stemma.Repo, prices: pd.DataFrame) -> None:
    with pytest.raises(stemma.ExistsError):
        repo.write(prices, "prices", mode="create", primary_key="code")
    with pytest.raises(stemma.DuplicateKeyError) as e:
        repo.write(prices, "prices", mode="append")
    assert (e.value.table, e.value.row) == ("prices", 0)
    with pytest.raises(stemma.InvalidError, match="as in primary_key='id'; mode='create' makes a table without one"):
        repo.write(prices, "fresh")
    with pytest.raises(stemma.NotFoundError, match=r"not found: fresh \(mode='create_append' makes it\)"):
        repo.write(prices, "fresh", mode="append")
    with pytest.raises(stemma.NotFoundError, match=r"not found: fresh \(mode='replace' makes it\)"):
        repo.write(prices, "fresh", mode="replace_rows")
    with pytest.raises(stemma.NotFoundError, match="no column") as missing:
        repo.write(prices.assign(z=1), "prices", mode="append")
    assert missing.value.hint is None
    with pytest.raises(stemma.InvalidError, match="no mode 'mrge'"):
        repo.write(prices, "prices", mode="mrge")  # type: ignore[arg-type]
    with pytest.raises(stemma.InvalidError, match="no column 'id' for the primary key"):
        repo.write(prices, "fresh", primary_key="id")
    with pytest.raises(stemma.StemmaError, match="nn"):
        repo.write(prices.rename(columns={"n": "nn"}), "prices")
    with pytest.raises(stemma.StemmaError, match="twice|duplicate"):
        repo.write(pd.concat([prices, prices]), "prices")
    with pytest.raises(stemma.StemmaError) as e:
        repo.write(pd.DataFrame({"code": ["a", "b"], "n": [1, 1.5]}), "prices")
    assert (e.value.column, e.value.row) == ("n", 1)
    assert repo.read_pandas("prices").equals(prices)


def test_write_id(repo: stemma.Repo, prices: pd.DataFrame) -> None:
    more = pd.DataFrame({"code": ["x"], "n": [1]})
    first = repo.write(more, "prices", mode="append", write_id="once")
    again = repo.write(more, "prices", mode="append", write_id="once")
    assert (first.already, again.already) == (False, True)
    assert again.inserted == first.inserted == 1
    assert len(repo.read_pandas("prices")) == 4


def test_a_source_that_breaks_leaves_nothing(repo: stemma.Repo, prices: pd.DataFrame) -> None:
    def batches() -> object:
        yield from pa.Table.from_pandas(prices.assign(n=9)).to_batches()
        raise RuntimeError("no more")

    reader = pa.RecordBatchReader.from_batches(pa.Table.from_pandas(prices).schema, batches())
    with pytest.raises(RuntimeError, match="no more"):
        repo.write(reader, "prices", mode="upsert")
    assert repo.read_pandas("prices").equals(prices)


def test_transaction(repo: stemma.Repo, prices: pd.DataFrame) -> None:
    with repo.transaction("both") as tx:
        tx.write(prices.assign(n=0), "prices")
        assert "part of a transaction" in repr(tx.write(prices, "twin", primary_key="code"))
        tx.sql("insert into twin values ('z', 9)")
        assert tx.read_pandas("twin").code.tolist() == ["a", "b", "c", "z"]
        assert repo.read_pandas("prices").equals(prices)
    assert repo.log(number=1)[0].message == "both"
    assert tx.commit_hash is not None
    assert tx.commit_hash.startswith(repo.log(number=1)[0].commit_hash)
    assert repo.read_pandas("prices", "HEAD").n.tolist() == [0, 0, 0]
    head = repo.log(number=1)[0].commit_hash
    with pytest.raises(RuntimeError), repo.transaction("never") as tx:  # noqa: PT012
        tx.write(prices, "prices")
        raise RuntimeError
    assert repo.log(number=1)[0].commit_hash == head
    assert repo.read_pandas("prices").n.tolist() == [0, 0, 0]
    with repo.transaction("nothing") as tx:
        pass
    assert tx.commit_hash is None


def test_verbs(repo: stemma.Repo, prices: pd.DataFrame) -> None:
    log = repo.log()
    assert [c.message for c in log] == ["second", "first", "Initialize data repository"]
    assert log[0].author == "Ada Lovelace"
    assert log.to_pandas().message.tolist()[0] == "second"
    assert "second" in log._repr_html_()
    assert "commit" in str(log)
    repo.branch("feature")
    feature = repo.at(branch="feature")
    feature.write(prices.assign(n=8), "prices", message="on feature")
    assert repo.read_pandas("prices").equals(prices)
    assert repo.read_pandas("prices", "feature").n.tolist() == [8, 8, 8]
    assert {b.name for b in repo.branch()} == {"main", "feature"}
    merged = repo.merge("feature").one()
    assert merged.fast_forward == 1
    assert repo.read_pandas("prices").n.tolist() == [8, 8, 8]
    diff = repo.diff("v1", "v2")
    assert [r.n for r in diff.parts[0]] == [2, 5]
    repo.sql("delete from prices where code = 'a'")
    assert [(s.table_name, s.status, s.staged) for s in repo.status()] == [("prices", "modified", False)]
    assert repo.commit("less", all=True).one().hash == repo.log(number=1)[0].commit_hash
    with pytest.raises(stemma.NothingToDoError):
        repo.commit("nothing")
    with pytest.raises(stemma.NotFoundError):
        repo.checkout("nowhere")
    assert "prices" in repo._repr_html_()


def test_columns_and_numbers_of_other_types(repo: stemma.Repo) -> None:
    repo.write({"id": [1, 2, 3], "x": ["a", "b", "c"]}, "t", primary_key="id", message="t")
    rows: Any = (np.int64(1), np.uint8(2))
    one: Any = np.int32(1)
    for name in ("t", "t@HEAD"):  # the second is looked for twice
        names: Any = (n for n in ["x"])
        assert repo.read_arrow(name, columns=names).to_pydict() == {"x": ["a", "b", "c"]}
        found = repo.scan(name, columns=["x"], rows=rows, batch_rows=one).read_all()
        assert found.to_pydict() == {"x": ["b"]}
    assert len(repo.partitions("t", n=one)) == 1


def test_partitions(repo: stemma.Repo) -> None:
    repo.write(pa.table({"id": range(50_000), "x": [str(i) for i in range(50_000)]}), "big", primary_key="id", message="big")
    parts = repo.partitions("big", "main", 7)
    repo.sql("delete from big")
    assert sum(p.rows for p in parts) == 50_000
    assert len(parts) == 7
    assert max(p.rows for p in parts) < 2 * min(p.rows for p in parts)
    ids: list[int] = []
    for p in parts:
        again = pickle.loads(pickle.dumps(p))
        assert again == p
        got = again.read_arrow(columns=["id"]).column("id").to_pylist()
        assert p.first is not None
        assert (p.first["id"], len(got)) == (got[0], p.rows)
        ids += got
    assert ids == list(range(50_000))
    with pytest.raises(stemma.InvalidError, match="n is 0"):
        repo.partitions("big", n=0)
    # Without a ref it is HEAD, if nothing has changed since: parts of a working set would be of different states.
    with pytest.raises(stemma.InvalidError, match=r"uncommitted changes.*partitions\(table, 'HEAD'\)"):
        repo.partitions("big")
    repo.commit("deleted", all=True)
    repo.write({"id": [1], "x": ["a"]}, "big", mode="append", message="one")
    (part,) = repo.partitions("big")
    repo.sql("delete from big")
    assert part.commit == repo.resolve("HEAD").commit
    assert part.read_pandas().x.tolist() == ["a"]


def test_partitions_in_other_processes(repo: stemma.Repo) -> None:
    read_by_workers(repo)


def test_partitions_with_a_condition(repo: stemma.Repo) -> None:
    keys = [(c, n) for c in ("a", "b'`", "ü") for n in range(5000)]
    repo.write(
        {"c": [k[0] for k in keys], "n": [k[1] for k in keys], "v": [i % 7 for i in range(len(keys))]},
        "t",
        primary_key=["c", "n"],
        message="t",
    )
    parts = repo.partitions("t", "main", 5)
    got = [
        row
        for p in parts
        for row in zip(*p.read_arrow(columns=["c", "n"], where="v = 3 or v = 4").to_pydict().values(), strict=True)
    ]
    assert sorted(got) == sorted(k for i, k in enumerate(keys) if i % 7 in {3, 4})
    repo.write({"v": list(range(20_000))}, "keyless", mode="create", message="keyless")
    part = repo.partitions("keyless", "main", 3)[1]
    assert part.read_pandas().v.tolist() == list(range(part.start, part.stop))
    with pytest.raises(stemma.UnsupportedError, match="no primary key"):
        part.scan(where="v > 1")


def test_tables_of_the_system(repo: stemma.Repo, prices: pd.DataFrame) -> None:
    assert repo.read_pandas("dolt_log").message.tolist()[0] == "second"
    assert repo.read_pandas("dolt_diff_prices", columns=["to_n"], where="diff_type = 'modified'").to_n.tolist() == [5]


def test_resolve(repo: stemma.Repo, prices: pd.DataFrame) -> None:
    first, second = repo.resolve("v1", "prices"), repo.resolve("v2", "prices")
    assert first.table_hash != second.table_hash
    assert first.schema_hash == second.schema_hash
    assert (first.rows, first.primary_key, len(first.commit or "")) == (3, ("code",), 52)
    repo.write(prices.assign(n=[1, 2, 3]), "prices", message="back")
    assert repo.resolve("HEAD", "prices").table_hash == first.table_hash


def test_errors(repo: stemma.Repo, prices: pd.DataFrame) -> None:
    with pytest.raises(stemma.NotFoundError, match="prices") as e:
        repo.read_pandas("pricess")
    assert "prices" in e.value.did_you_mean
    with pytest.raises(stemma.NotFoundError, match="mian") as e:
        repo.read_pandas("prices", "mian")
    assert "main" in str(e.value)
    assert e.value.ref == "mian"
    repo.sql("create table later (a int primary key)")
    with pytest.raises(stemma.NotFoundError, match="later"):
        repo.read_pandas("later", "v1")
    with pytest.raises(stemma.StemmaError) as e:
        repo.sql("selec 1")
    assert "goroutine" not in str(e.value)
    with pytest.raises(stemma.NotFoundError):
        repo.at(branch="nowhere").read_pandas("prices")
    with pytest.raises(stemma.NotFoundError) as e:
        repo.sql("select * from prices as of 'mian'")
    assert (e.value.ref, e.value.did_you_mean) == ("mian", ("main",))
    with pytest.raises(stemma.NotFoundError) as e:
        repo.sql("select code, m from prices")
    assert e.value.column == "m"
    with pytest.raises(stemma.NotFoundError, match="idd") as e:
        repo.read_pandas("prices", where="idd > 1")
    assert e.value.column == "idd"


def test_settings(directory: Path) -> None:
    with stemma.connect(directory, author="Grace Hopper <g@example.org>", run="run-7") as repo:
        repo.write({"id": [1]}, "t", primary_key="id", message="hers")
        last = repo.log(number=1)[0]
        assert (last.author, last.author_email) == ("Grace Hopper", "g@example.org")
        assert "run-7" in last.meta
    with stemma.connect(directory, ref="HEAD~1") as old, pytest.raises(stemma.NotFoundError):
        old.read_pandas("t")


def test_text_of_any_kind(repo: stemma.Repo) -> None:
    with stemma.connect(repo.uri, author="Zoë 😀 <z@example.org>") as other:
        other.write({"ключ": ["ä"], "x": ["😀"]}, "täble", primary_key="ключ", message="größer\n\nmehr")
        assert other.read_pandas("täble").to_dict("records") == [{"ключ": "ä", "x": "😀"}]
        last = other.log(number=1)[0]
        assert (last.author, last.message) == ("Zoë 😀", "größer\n\nmehr")


@pytest.mark.parametrize("mode", ["merge", "upsert"])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_write_over_zero_dates(repo: stemma.Repo, mode: str, order: list[int]) -> None:
    """Rows with 0000-00-00, which no frame can hold, are compared, changed and deleted as others are, also by a key of dates."""
    repo.sql("create table z (id int, d date, t datetime(6), primary key (id, d))")
    repo.sql(
        "insert into z values (1, '0000-00-00', '0000-00-00'), (1, '2020-01-01', '0000-00-00'), (2, '2020-01-01', '2020-01-01')"
    )
    day, moment = dt.date(2020, 1, 1), dt.datetime(2020, 1, 1)
    frame = pa.table(
        {
            "id": pa.array([1, 2, 3], pa.int32()),
            "d": pa.array([day] * 3, pa.date32()),
            "t": pa.array([moment, moment, None], pa.timestamp("us")),
        }
    ).take(order)
    done = repo.write(frame, "z", mode=mode)
    assert (done.inserted, done.updated, done.unchanged) == (1, 1, 1)
    assert done.deleted == (1 if mode == "merge" else 0)
    rows = repo.sql("select id, cast(d as char) as d, cast(t as char) as t from z", frame="arrow").to_pylist()
    kept = [] if mode == "merge" else [{"id": 1, "d": "0000-00-00", "t": "0000-00-00 00:00:00.000000"}]
    text = "2020-01-01 00:00:00.000000"
    assert rows == [*kept, *({"id": i, "d": "2020-01-01", "t": t} for i, t in [(1, text), (2, text), (3, None)])]


def test_results_as_text(prices: pd.DataFrame, repo: stemma.Repo) -> None:
    """What print shows of an answer is what the command shows: also rows that no line tells."""
    changed = str(repo.diff("v1", "v2"))
    assert "diff --stemma a/prices b/prices" in changed
    assert changed.endswith("| > | b    | 5 |\n+---+------+---+")
    assert str(repo.blame("prices")).count("\n| ") == 4
    assert "+-" not in str(repo.log())
    assert str(repo.log()).count("commit ") == 3
    with repo.transaction("third") as tx:
        tx.write({"code": ["x"], "n": [9]}, "prices", mode="upsert")
        assert repr(tx) == "stemma.Transaction('third', open)"
    assert repr(tx) == f"stemma.Transaction('third', commit {tx.commit_hash})"
    for used in (
        lambda: tx.write({"code": ["y"], "n": [1]}, "prices"),
        lambda: tx.sql("select 1"),
        lambda: tx.read_arrow("prices"),
    ):
        with pytest.raises(stemma.InvalidError, match="the transaction is over"):
            used()
    with pytest.raises(stemma.InvalidError, match="the transaction is over"), tx:
        pass
    with pytest.raises(stemma.InvalidError, match="the transaction is not begun"):
        repo.transaction().read_arrow("prices")
    with pytest.raises(KeyError), repo.transaction() as tx:
        raise KeyError
    assert repr(tx) == "stemma.Transaction(None, rolled back)"


def test_notation(prices: pd.DataFrame, repo: stemma.Repo) -> None:
    """The notation of configurations names a ref, and another database, wherever a table is read; a table so called comes first."""
    name = repo.ping()["database"]
    for noted in ("prices@v1", f"{name}:prices@v1", " prices @ v1 "):
        assert list(repo.read_pandas(noted).n) == [1, 2, 3]
        assert list(repo.read_polars(noted)["n"]) == [1, 2, 3]
        assert repo.read_arrow(noted, where="n = 2").num_rows == 1
        assert repo.scan(noted, rows=(1, 2)).read_all()["n"].to_pylist() == [2]
        parts = repo.partitions(noted, n=2)
        assert [n for p in parts for n in pickle.loads(pickle.dumps(p)).read_arrow()["n"].to_pylist()] == [1, 2, 3]
    assert list(repo.read_pandas(f"{name}:prices").n) == [1, 5, 3]
    assert list(repo.read_pandas(f"{name}:prices", "v1").n) == [1, 2, 3]
    with repo.transaction() as tx:
        assert list(tx.read_pandas("prices@v1").n) == [1, 2, 3]
        with pytest.raises(stemma.InvalidError, match="a transaction is of one database, which is not other"):
            tx.read_pandas("other:prices")
    with pytest.raises(stemma.InvalidError, match="'prices@v1' names a ref, and 'v2' another"):
        repo.read_pandas("prices@v1", "v2")
    with pytest.raises(stemma.NotFoundError, match="branch or ref not found: mian; did you mean 'main'") as e:
        repo.read_pandas("prices@mian")
    assert (e.value.table, e.value.ref) == ("prices", "mian")
    with pytest.raises(stemma.NotFoundError, match="table not found: price at v1; did you mean 'prices'"):
        repo.read_pandas("price@v1")
    with pytest.raises(stemma.NotFoundError, match="elsewhere"):
        repo.read_pandas("elsewhere:prices@v1")
    for wrong in ("@v1", "prices@", ":prices", "db:@v1"):
        with pytest.raises(stemma.InvalidError, match="is neither a table nor table@ref nor database:table@ref"):
            repo.read_pandas(wrong)
    with pytest.raises(stemma.InvalidError, match="a write goes to a branch.*at\\(branch='v1'\\)"):
        repo.write(prices, "prices@v1")
    repo.sql("create table `prices@v1` (id int primary key)")
    assert repo.read_arrow("prices@v1").num_rows == 0


def test_messages_are_in_the_words_of_python(repo: stemma.Repo, prices: pd.DataFrame, tmp_path: Path) -> None:
    repo.write({"id": [1]}, "fresh", primary_key="id")
    with pytest.raises(stemma.NothingToDoError, match=r"use add\('<table>'\) or commit with ALL=True$"):
        repo.commit("m")
    with pytest.raises(stemma.InvalidError, match="give one with message=…"):
        repo.commit(all=True, allow_empty=True)
    with pytest.raises(stemma.InvalidError, match="commit: allow_empty=True and skip_empty=True exclude each other"):
        repo.commit("m", allow_empty=True, skip_empty=True)
    with pytest.raises(stemma.InvalidError, match=r"make a branch there with checkout\('v1', new='<name>'\),"):
        repo.checkout("v1")
    with pytest.raises(stemma.InvalidError, match='data export: output="x": want one of parquet'):
        repo.data_export(split="train", output="x")
    file = tmp_path / "prices.csv"
    file.write_text("code,n\na,1\n")
    with pytest.raises(stemma.ExistsError, match="use update_table=True to update it") as e:
        repo.table_import("prices", str(file), create_table=True, pk="code")
    assert " -" not in str(e.value)
    assert e.value.args == (e.value.message,)
    # In SQL the flags are those that are written there.
    with pytest.raises(stemma.StemmaError, match="commit with -A"):
        repo.sql("call dolt_commit('-m', 'x')")


def test_rows_of_a_diff_have_the_types_of_a_read(repo: stemma.Repo) -> None:
    columns = "d date, t datetime(6), ts timestamp, s time(3), u bigint unsigned, n decimal(10, 2), j json, b varbinary(4)"
    repo.sql(f"create table t (id int primary key, {columns})")
    repo.commit("empty", ALL=True)
    repo.sql(
        "insert into t values (1, '2020-01-02', '2020-01-02 03:04:05', '2020-01-02 03:04:05', '-30:00:01.5', 18446744073709551615, 1.5, '[1]', 'ab'),"
        """ (2, '0000-00-00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', null, null, null, '{"a": 1}', null)"""
    )
    diff = repo.diff()
    one, two = diff.parts[0]
    assert (one.d, two.d) == (dt.date(2020, 1, 2), "0000-00-00")
    assert two.t == two.ts == "0000-00-00 00:00:00"
    assert one.t == dt.datetime(2020, 1, 2, 3, 4, 5)
    assert one.ts == dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert one.s == -dt.timedelta(hours=30, seconds=1, milliseconds=500)
    repo.sql("delete from t where id = 2")
    frame = repo.diff().to_pandas()  # of its only table
    read = repo.read_pandas("t")
    same = ["t", "ts", "s", "u", "n", "j", "b"]
    pd.testing.assert_frame_equal(frame[same], read[same])
    assert frame.d[0] == read.d[0]
    # Times of a verb's own are moments, beside those of a table.
    repo.commit("row", ALL=True)
    blame = repo.blame("t")[0]
    assert blame.commit_date == repo.log()[0].date
    assert blame.commit_date.tzinfo is dt.UTC
    repo.sql("create table k (at datetime primary key)")
    repo.sql("insert into k values ('2020-01-02 03:04:05')")
    repo.sql("delete from t")
    with pytest.raises(stemma.InvalidError, match="answered with 2 tables, which are no single frame"):
        repo.diff("HEAD").to_pandas()
    repo.commit("key", ALL=True)
    assert [(r.at, r.commit_date.tzinfo) for r in repo.blame("k")] == [(dt.datetime(2020, 1, 2, 3, 4, 5), dt.UTC)]
    assert repo.log().to_pandas().date.dtype == "datetime64[us, UTC]"
