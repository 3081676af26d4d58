"""What makes no sense is refused with one sentence that says what, and where it applies which row, which name was meant, and what to do."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import stemma


@pytest.fixture(scope="module")
def shop(environment: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[stemma.Repo]:
    """The table prices in a commit tagged v1, and the table only_there on the branch feature."""
    with stemma.connect(tmp_path_factory.mktemp("bad") / "shop", create=True) as repo:
        repo.write({"id": [1, 2], "x": ["a", "b"]}, "prices", primary_key="id", message="one")
        repo.tag("v1")
        repo.branch("feature")
        repo.at(branch="feature").write({"id": [1]}, "only_there", primary_key="id", message="two")
        yield repo


def plain(e: stemma.StemmaError) -> None:
    """The text is for people: no trace, nothing of Go, gRPC or Python's insides."""
    text = str(e)
    for word in ("goroutine", ".go:", "json:", "Go struct", "rpc error", "gRPC", "runtime error", "Traceback", "nil pointer"):
        assert word not in text, text
    assert "\n" not in e.message


@pytest.mark.parametrize(
    ("uri", "kind", "says"),
    [
        ("", stemma.InvalidError, "empty"),
        (5, stemma.InvalidError, "text, not int"),
        (b"/tmp", stemma.InvalidError, "text, not bytes"),
        ("/nowhere/db", stemma.NotFoundError, "/nowhere/db"),
        (os.devnull, stemma.NotFoundError, "not a stemma database"),
        ("stemma://", stemma.InvalidError, "names no host"),
        ("stemma://localhost:99999/x", stemma.InvalidError, "Port"),
        ("stemma://localhost:x/x", stemma.InvalidError, "Port"),
        ("grpc://[::1", stemma.InvalidError, "IPv6"),
        ("stemma://localhost:1/x", stemma.UnavailableError, "nothing answers at localhost:1"),
        ("stemma://no-such-host.invalid/x", stemma.UnavailableError, "nothing answers"),
        ("mysql://localhost/x", stemma.InvalidError, "not a scheme"),
        ("stema://localhost/x", stemma.InvalidError, "did you mean 'stemma'"),
        ("stemma://localhost/x?brnch=y", stemma.InvalidError, "brnch"),
    ],
)
def test_uris(uri: Any, kind: type[stemma.StemmaError], says: str) -> None:
    with pytest.raises(kind, match=says) as e:
        stemma.connect(uri)
    plain(e.value)


def test_a_missing_program(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMMA_BINARY", "/nowhere/stemma")
    with pytest.raises(stemma.UnavailableError, match="/nowhere/stemma"):
        stemma.connect(directory.parent / "other", create=True)
    monkeypatch.delenv("STEMMA_BINARY")
    monkeypatch.setenv("PATH", str(directory))
    if not (Path(sys.executable).parent / "stemma").exists():
        with pytest.raises(stemma.UnavailableError, match="not found") as e:
            stemma.connect(directory.parent / "other", create=True)
        assert "pip install" in str(e.value.hint)


@pytest.mark.parametrize(
    ("ref", "kind", "meant", "says"),
    [
        ("v2", stemma.NotFoundError, (), "v2"),
        ("mian", stemma.NotFoundError, ("main",), "mian"),
        ("feture", stemma.NotFoundError, ("feature",), "feture"),
        ("0123456789abcdef", stemma.NotFoundError, (), "0123456789abcdef"),
        ("HEAD~99", stemma.NotFoundError, (), "history is shorter"),
        ("2001-01-01", stemma.NotFoundError, (), "2001-01-01"),
        ("'; drop table prices; --", stemma.NotFoundError, (), "drop table"),
        ("", stemma.InvalidError, (), "ref is empty"),
        (" ", stemma.InvalidError, (), "ref is empty"),
        (1234567, stemma.InvalidError, (), "YAML reads some hashes as numbers"),
        (12e10, stemma.InvalidError, (), "YAML reads some hashes as numbers"),
        (dt.datetime(2021, 4, 1, tzinfo=dt.UTC), stemma.InvalidError, (), r"a time is one, too.*'2021-04-01T00:00:00\+00:00'"),
        (Path("main"), stemma.InvalidError, (), r"a ref is text, not PosixPath\('main'\)$"),
    ],
)
def test_refs(shop: stemma.Repo, ref: Any, kind: type[stemma.StemmaError], meant: tuple[str, ...], says: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: shop.read_pandas("prices", ref),
        lambda: shop.sql("select * from prices", ref=ref),
        lambda: shop.partitions("prices", ref, 2),
        lambda: list(shop.scan("prices", ref)),
    ]
    for call in calls:
        with pytest.raises(kind, match=says) as e:
            call()
        plain(e.value)
        assert e.value.did_you_mean == meant
        if kind is stemma.NotFoundError:
            assert e.value.ref == ref


def test_branches(shop: stemma.Repo) -> None:
    for call in (
        lambda: shop.at(branch="mian").read_pandas("prices"),
        lambda: shop.at(branch="mian").write({"id": [3]}, "prices", mode="upsert"),
        lambda: stemma.connect(shop.uri, branch="mian"),
    ):
        with pytest.raises(stemma.NotFoundError, match="branch or ref not found: mian; did you mean 'main'") as e:
            call()
        assert (e.value.ref, e.value.did_you_mean) == ("mian", ("main",))
    with pytest.raises(stemma.NotFoundError, match="elsewhere"):
        stemma.connect(shop.uri, database="elsewhere")
    with pytest.raises(stemma.ReadOnlyError, match="v1"):
        shop.at(branch="v1").write({"id": [3]}, "prices", mode="upsert")
    with pytest.raises(stemma.ReadOnlyError, match="v1"):
        shop.at(ref="v1").write({"id": [3]}, "prices", mode="upsert")
    with pytest.raises(stemma.ReadOnlyError):
        shop.sql("delete from prices", ref="v1")


def test_tables(shop: stemma.Repo) -> None:
    with pytest.raises(stemma.NotFoundError, match="table not found: price; did you mean 'prices'") as e:
        shop.read_pandas("price")
    assert (e.value.table, e.value.did_you_mean) == ("price", ("prices",))
    with pytest.raises(stemma.NotFoundError, match="branch feature has a table of that name"):
        shop.read_pandas("only_there")
    with pytest.raises(stemma.NotFoundError, match="prices at HEAD~1.*it is there on branch main") as e:
        shop.read_pandas("prices", "HEAD~1")
    assert (e.value.table, e.value.ref) == ("prices", "HEAD~1")
    for name in ("", " ", "dolt_log", "stemma_x", "a\nb", "a "):
        with pytest.raises(stemma.InvalidError) as e:
            shop.write({"a": [1]}, name, mode="create")
        plain(e.value)
    with pytest.raises(stemma.InvalidError):
        shop.sql("create table `a ` (id int)")
    assert [t.table_name for t in shop.ls()] == ["prices"]


def test_names_in_verbs_and_statements(shop: stemma.Repo) -> None:
    for call in (
        lambda: shop.blame("price"),
        lambda: shop.table_export("price"),
        lambda: shop.schema_show("price"),
        lambda: shop.sql("select * from price"),
    ):
        with pytest.raises(stemma.NotFoundError, match=r"table not found: price; did you mean '?prices'?\?$") as e:
            call()
        assert (e.value.table, e.value.did_you_mean) == ("price", ("prices",))
    with pytest.raises(stemma.NotFoundError, match="branch or ref not found: mian; did you mean 'main'") as e:
        shop.sql("select 1", ref="mian")
    assert (e.value.ref, e.value.did_you_mean) == ("mian", ("main",))


def test_statements(shop: stemma.Repo) -> None:
    for query, kind, says in (
        ("selec 1", stemma.InvalidError, "selec"),
        ("", stemma.InvalidError, "no statement"),
        (" ;", stemma.InvalidError, "no statement"),
        ("select 1; drop table prices", stemma.InvalidError, "drop|one statement"),
        ("select * from nope", stemma.NotFoundError, "nope"),
        ("select y from prices", stemma.NotFoundError, "y"),
        (5, stemma.InvalidError, "text, not 5"),
    ):
        with pytest.raises(kind, match=says) as e:
            shop.sql(query)  # type: ignore[arg-type]
        plain(e.value)
    with pytest.raises(stemma.InvalidError, match="parameters"):
        shop.sql("select ?", params=[1, 2])
    with pytest.raises(stemma.InvalidError, match="name of a column is text, not 1"):
        shop.read_pandas("prices", columns=[1])  # type: ignore[list-item]
    with pytest.raises(stemma.NotFoundError) as missing:
        shop.read_pandas("prices", columns=["xx"])
    assert (missing.value.column, missing.value.did_you_mean) == ("xx", ("x",))
    for where in ("id >", "1; drop table prices", "idd > 1"):
        with pytest.raises((stemma.InvalidError, stemma.NotFoundError)) as e:
            shop.read_pandas("prices", where=where)
        plain(e.value)
    assert len(shop.read_pandas("prices")) == 2


@pytest.mark.parametrize(
    ("frame", "kind", "says", "column", "row"),
    [
        (pd.DataFrame([[1, 2]], columns=["id", "id"]), stemma.InvalidError, "twice", "id", None),
        (pd.DataFrame([[1, 2]], columns=["id", "ID"]), stemma.InvalidError, "the same name in SQL", "ID", None),
        (pd.DataFrame({"id": [1, 2], "x": ["a", 2]}), stemma.InvalidError, "different types", "x", 1),
        (pd.DataFrame({"id": [1, 2], "x": [dt.date(2020, 1, 1), "b"]}), stemma.InvalidError, "different types", "x", 1),
        (
            # The row is that of the frame, not the category's place among the categories.
            pd.DataFrame({"id": [1, 2, 3], "x": pd.Categorical.from_codes([1, 1, 0], pd.Index(["a", 2], dtype=object))}),
            stemma.InvalidError,
            "different types.* row 2 ",
            "x",
            2,
        ),
        (pd.DataFrame({"id": [1], "x": [object()]}), stemma.InvalidError, "no SQL type", "x", 0),
        (pd.DataFrame({"id": [1, None], "x": ["a", "b"]}), stemma.ConstraintError, "NULL", "id", 1),
        (pd.DataFrame({"id": [1, 1], "x": ["a", "b"]}), stemma.DuplicateKeyError, "twice", None, None),
        (pd.DataFrame({"id": ["z"], "x": ["1"]}), stemma.InvalidError, "does not go into", "id", None),
        (pd.DataFrame({"id": [1, 2**63], "x": ["1", "2"]}), stemma.InvalidError, "out of range", "id", 1),
        (pd.DataFrame({"id": [3], "xx": ["1"]}), stemma.NotFoundError, "no column", "xx", None),
        (pd.DataFrame({"x": ["1"]}), stemma.NotFoundError, "no column", "id", None),
        (pd.DataFrame({0: [1]}), stemma.InvalidError, "not text but int", None, None),
        (pd.DataFrame(), stemma.InvalidError, "no columns", None, None),
        (5, stemma.InvalidError, "not a frame", None, None),
    ],
)
def test_frames(
    shop: stemma.Repo, frame: Any, kind: type[stemma.StemmaError], says: str, column: str | None, row: int | None
) -> None:
    before = shop.read_arrow("prices")
    with pytest.raises(kind, match=says) as e:
        shop.write(frame, "prices")
    plain(e.value)
    assert e.value.table == "prices"
    assert column is None or e.value.column == column
    assert row is None or e.value.row == row
    assert shop.read_arrow("prices").equals(before)


def test_metadata_and_authors(shop: stemma.Repo) -> None:
    with pytest.raises(stemma.InvalidError, match="metadata"):
        shop.write({"id": [1]}, "prices", mode="upsert", message="m", metadata={"a": object()})
    with pytest.raises(stemma.InvalidError, match="form 'Name <mail>'"):
        stemma.connect(shop.uri, author="Ada")
    with pytest.raises(stemma.InvalidError, match="overwrite"):
        shop.write({"id": [1]}, "prices", mode="overwrite")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda r: r.read_pandas("prices", where=5), "where is a condition in SQL, not 5"),
        (lambda r: r.scan("prices", rows=(-5, 2)), r"rows is a pair of numbers from 0, not \(-5, 2\)"),
        (lambda r: r.scan("prices", rows="ab"), "rows is a pair of numbers from 0, not 'ab'"),
        (lambda r: r.scan("prices", rows=5), "rows is a pair of numbers from 0, not 5"),
        (lambda r: r.scan("prices", rows=(0, 2.5)), r"rows is a pair of numbers from 0, not \(0, 2.5\)"),
        (lambda r: r.read_arrow("prices", columns="id"), "columns is a list of names, not 'id'"),
        (lambda r: r.read_arrow("prices", columns=5), "columns is a list of names, not 5"),
        (lambda r: r.sql("select ?", params=5), "one for each \\? of the statement, not int"),
        (lambda r: r.scan("prices", batch_rows=0), "batch_rows is a number from 1, not 0"),
        (lambda r: r.partitions("prices", "v1", 2.5), "n is 2.5, not a number from 1"),
        (lambda r: r.sql("select ?", params={"a": 1}), "one for each \\? of the statement, not dict"),
        (lambda r: r.sql("select ?", params="a"), "one for each \\? of the statement, not str"),
        (lambda r: r.sql("select * from prices where id = %s", params=[1]), "a parameter stands as \\?, not as %s"),
        (lambda r: r.sql("select * from prices where id = :id", params=[1]), "a parameter stands as \\?, not as :id"),
        (lambda r: r.write({"a": [1]}, "q", primary_key=5), "primary_key is a name of a column, or a list of such, not 5"),
        (lambda r: r.write({"a": [1]}, "q", primary_key="a", message=5), "message is text, not 5"),
        (lambda r: r.write({"a": [1]}, "q", primary_key="a", write_id="x" * 300), "write id: at most 200 bytes"),
        (lambda r: r.transaction(5), "the message of a transaction is text, not 5"),
        (lambda r: r.transaction("m", metadata={"a": {1}}), "transaction: the metadata cannot be written as JSON"),
    ],
)
def test_arguments(shop: stemma.Repo, call: Callable[[stemma.Repo], object], says: str) -> None:
    with pytest.raises(stemma.InvalidError, match=says) as e:
        call(shop)
    plain(e.value)
    assert [t.table_name for t in shop.ls()] == ["prices"]


def test_a_truncated_parquet_file(repo: stemma.Repo, tmp_path: Path) -> None:
    whole = tmp_path / "t.parquet"
    pa.parquet.write_table(pa.table({"id": range(50_000), "x": [str(i) for i in range(50_000)]}), whole, row_group_size=5_000)
    data = whole.read_bytes()
    for name, part in {
        "half": data[: len(data) // 2],
        "no_end": data[:-4],
        "hole": data[:3000] + bytes(3000) + data[6000:],
        "none": b"",
    }.items():
        file = tmp_path / f"{name}.parquet"
        file.write_bytes(part)
        with pytest.raises(stemma.StemmaError) as e:
            repo.table_import("t", str(file), create_table=True, pk="id")
        plain(e.value)
        assert file.name in str(e.value)
    assert len(repo.ls()) == 0
    assert repo.status().lines


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="it mounts a small file system")
def test_a_full_disk(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", small], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with stemma.connect(small / "db", create=True) as repo:
            repo.write({"id": [1], "x": ["a"]}, "t", primary_key="id", message="before")
            noise = os.urandom(24_000_000).hex()
            frame = pd.DataFrame({"id": range(2, 1002), "x": [noise[i * 48_000 : (i + 1) * 48_000] for i in range(1000)]})
            for mode in ("upsert", "merge", "replace", "append"):
                with pytest.raises(stemma.NoSpaceError) as e:
                    repo.write(frame, "t", mode=mode, primary_key="id", message="too much")
                plain(e.value)
                assert repo.read_arrow("t").to_pylist() == [{"id": 1, "x": "a"}]
                assert len(repo.log()) == 2
            repo.write({"id": [2], "x": ["b"]}, "t", mode="append", message="after")
            assert repo.fsck().exit_code == 0
    finally:
        subprocess.run(["umount", "-l", small], check=True)
        shutil.rmtree(small, ignore_errors=True)
