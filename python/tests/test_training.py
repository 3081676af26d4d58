"""Training configurations: what they mean, their locks, and the frames that stemma.load makes of them."""

from __future__ import annotations

import json
import os
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import stemma
from stemma._concat import Part, concat


def cli(directory: Path | str, *arguments: str, code: int = 0) -> str:
    """What the program says in a directory."""
    done = subprocess.run([os.environ["STEMMA_BINARY"], *arguments], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a database with two commits of client_data, beside one called labels."""
    with stemma.connect(tmp_path / "crm", create=True) as crm:
        first = {"id": [1, 2, 3, 4], "country": ["DE", "FR", "DE", None], "size": [10, 20, 30, 40], "note": ["a", "b", "c", "d"]}
        crm.write(first, "client_data", primary_key="id", message="first")
        crm.tag("v1")
        crm.write({**first, "size": [10, 20, 30, 41]}, "client_data", message="second")
    with stemma.connect(tmp_path / "labels", create=True) as labels:
        labels.write(
            {"id": [1, 2, 3, 9], "country": ["DE", "DE", "FR", "DE"], "y": [0.5, 1.5, 2.5, 9.5]},
            "batch",
            primary_key="id",
            message="labels",
        )
    monkeypatch.chdir(tmp_path / "crm")
    monkeypatch.delenv("STEMMA_URI", raising=False)
    return tmp_path / "crm"


def write(site: Path, text: str) -> None:
    (site / "stemma.yaml").write_text(text)


def test_as_the_seed_writes_it(site: Path) -> None:
    sha = cli(site, "log", "-n", "1", "--oneline").split()[0]
    write(site, f"model: {{kind: nlp}}\ntrain:\n- client_data@{sha}\n- client_data@v1\ntest:\n- client_data@v1\n")
    with pytest.raises(stemma.NotFoundError, match=r"stemma\.lock.*data_lock.*frozen=False"):
        stemma.load("stemma.yaml", split="train", frozen=True)
    assert "train and test share keys: 4 of client_data@" in cli(site, "data", "lock")
    with pytest.warns(stemma.SharedKeysWarning, match="train and test share keys: 4 of"):
        frame = stemma.load("stemma.yaml", split="train", frozen=True)
    assert frame["size"].tolist() == [10, 20, 30, 41, 10, 20, 30, 40]
    assert frame["_source"].tolist() == [f"client_data@{sha}"] * 4 + ["client_data@v1"] * 4
    assert str(frame["_source"].dtype) == "category"
    assert stemma.read_pandas("client_data", sha).equals(frame.iloc[:4].drop(columns="_source"))


def test_parts_of_tables_of_several_databases(site: Path) -> None:
    write(
        site,
        "databases: {marks: ../labels}\n"
        "train:\n"
        '- {table: client_data, ref: v1, columns: [size, id], where: "country = \'DE\' or \\"size\\" = 40"}\n'
        "- {database: marks, table: batch, ref: main, where: y > 1, columns: [id, y]}\n"
        "- labels:batch@main\n"
        "test:\n"
        "- {table: client_data, ref: main, where: country = 'FR'}\n",
    )
    said = cli(site, "data", "lock")
    assert "train: client_data@v1 (3 rows" in said
    assert "train: marks:batch@main (3 rows" in said
    assert "train: labels:batch@main (4 rows" in said
    assert "train and test share keys: 1 of marks:batch@main are in client_data@main as well" in said
    assert "train and test share keys: 1 of labels:batch@main are in client_data@main as well" in said
    assert "of client_data@v1" not in said  # id 2 is not of the part
    locked = (site / "stemma.lock").read_text()
    assert "shared_keys:" in locked
    assert cli(site, "data", "lock", "--check").startswith("stemma.lock is up to date.")
    assert cli(site, "data", "verify").count("ok ") == 4
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = stemma.load(split="train")
    said = [str(w.message) for w in caught]
    assert sum("share keys" in s for s in said) == 2
    assert any("column size is not in marks:batch@main, labels:batch@main" in s for s in said)
    assert frame["id"].tolist() == [1, 3, 4, 2, 3, 9, 1, 2, 3, 9]
    assert frame["y"].tolist()[3:] == [1.5, 2.5, 9.5, 0.5, 1.5, 2.5, 9.5]
    assert frame["size"].dropna().tolist() == [10, 30, 40]
    assert list(frame.columns) == ["_source", "id", "size", "y", "country"]

    # The files of data export hold the same rows.
    warnings.simplefilter("ignore")
    with pytest.raises(stemma.InvalidError, match="differ: column size"):
        stemma.load(split="train", schema="error")
    cli(site, "data", "export", "--split", "train", "-o", "parquet")
    parts = [pd.read_parquet(site / "train" / n) for n in ("client_data.parquet", "marks-batch.parquet", "labels-batch.parquet")]
    assert pd.concat(parts)["id"].tolist() == frame["id"].tolist()

    # The verbs of Python are those of the program.
    with stemma.connect(site) as repo:
        assert [(r.split, r.item, r.rows) for r in repo.data_items(frozen=True)] == [
            ("train", "client_data@v1", 3),
            ("train", "marks:batch@main", 3),
            ("train", "labels:batch@main", 4),
            ("test", "client_data@main", 1),
        ]
        assert [r.state for r in repo.data_verify()] == ["ok"] * 4
        repo.data_lock(upgrade_all=True)
        assert (site / "stemma.lock").read_text() == locked
        # Of what is at a tag, the newest rows of the branch: one of the three is not of the part any more.
        report = repo.data_retrain()
        assert [(r.retrain, r.rows_removed, r.rows_modified) for r in report] == [
            (True, 1, 0),
            (False, 0, 0),
            (False, 0, 0),
            (False, 0, 0),
        ]
        assert report.exit_code == 10


def test_the_lock_in_a_notebook(site: Path) -> None:
    write(site, "train: [client_data@v1]\ntest: ['client_data@main']\n")
    with stemma.connect(site) as repo:
        locked = repo.data_lock()
    commits = [row.commit for row in locked]
    assert len(set(commits)) == 2
    shown = locked._repr_html_()
    assert shown.startswith("<table><thead><tr><th>split</th><th>item</th><th>commit</th><th>rows</th><th>state</th></tr></thead>")
    for split, item, commit in zip(("train", "test"), ("client_data@v1", "client_data@main"), commits, strict=True):
        assert f"<tr><td>{split}</td><td>{item}</td><td>{commit}</td><td>4</td><td>locked</td></tr>" in shown
    # The second time nothing is locked that was not.
    with stemma.connect(site) as repo:
        assert "<td>locked</td>" not in repo.data_lock()._repr_html_()


def test_frozen_rows_stay(site: Path) -> None:
    write(site, "train:\n- client_data@main\n")
    cli(site, "data", "lock")
    with stemma.connect(site) as repo:
        repo.write({"id": [1, 5], "country": ["XX", "YY"]}, "client_data", mode="upsert", message="third")
        assert repo.data_retrain().exit_code == 10
        assert stemma.load(repo=repo)["country"].tolist()[0] == "DE"
        assert stemma.load(repo=repo, frozen=False)["country"].fillna("-").tolist() == ["XX", "FR", "DE", "-", "YY"]
        polars = stemma.load(repo=repo, frame="polars", source=None)
        assert isinstance(polars, pl.DataFrame)
        assert polars.columns == ["id", "country", "size", "note"]
    write(site, "train:\n- client_data@main\n- client_data@v1\n")
    with pytest.warns(stemma.StaleLockWarning, match=r"stemma.yaml asks for other tables than stemma.lock"):
        assert len(stemma.load()) == 4
    with pytest.raises(stemma.NotFoundError, match="no split tain; it has train"):
        stemma.load(split="tain", frozen=False)
    with pytest.raises(stemma.NotFoundError, match="there is no file nowhere"):
        stemma.load("nowhere.yaml")
    write(site, "train:\n- client_data@main\n")
    lock = (site / "stemma.lock").read_text()
    at = lock.index("table_hash: ") + len("table_hash: ")
    (site / "stemma.lock").write_text(lock[:at] + "0" * 52 + lock[at + 52 :])
    with pytest.raises(stemma.CorruptError, match="is not the one that was locked"):
        stemma.load()


def test_a_configuration_elsewhere(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "train.yaml").write_text("database: ../crm\ntrain:\n- client_data@v1\n")
    monkeypatch.chdir(tmp_path)
    assert len(stemma.load(away / "train.yaml", frozen=False)) == 4
    with stemma.connect(site) as repo:
        repo.data_lock(config=str(away / "train.yaml"))
    assert len(stemma.load(away / "train.yaml")) == 4


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [
        (pa.array([1], pa.int8()), pa.array([300], pa.int16()), "int16"),
        (pa.array([1], pa.int32()), pa.array([2**32 - 1], pa.uint32()), "int64"),
        (pa.array([-1], pa.int64()), pa.array([2**64 - 1], pa.uint64()), "decimal128(20, 0)"),
        (pa.array([True]), pa.array([7], pa.int16()), "int16"),
        (pa.array([2**53], pa.int64()), pa.array([0.5]), "double"),
        (pa.array(["a"]), pa.array(["b"], pa.large_string()), "large_string"),
        (pa.array(["a"]).dictionary_encode(), pa.array(["b"]), "string"),
        (pa.array([None], pa.null()), pa.array([1.5]), "double"),
        (pa.array([1], pa.timestamp("s")), pa.array([1], pa.timestamp("us")), "timestamp[us]"),
    ],
)
def test_types_that_differ(a: pa.Array, b: pa.Array, want: str) -> None:
    made, differences = concat([Part("a", pa.table({"x": a})), Part("b", pa.table({"X": b}))], None)
    assert str(made.schema.field("x").type) == want
    assert made.column("x").to_pylist() == [*a.to_pylist(), *b.to_pylist()]
    assert len(differences) <= 1


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (pa.array([2**53 + 1], pa.int64()), pa.array([0.5]), "cannot become double"),
        (pa.array([1]), pa.array(["1"]), "is int64 in a and string in b: no type holds both"),
        (pa.array([1], pa.timestamp("us")), pa.array([1], pa.timestamp("us", "UTC")), "no type holds both"),
    ],
)
def test_types_that_nothing_holds(a: pa.Array, b: pa.Array, words: str) -> None:
    with pytest.raises(stemma.InvalidError, match=words):
        concat([Part("a", pa.table({"x": a})), Part("b", pa.table({"x": b}))], None)
    with pytest.raises(stemma.InvalidError, match="source="):
        concat([Part("a", pa.table({"_SOURCE": a}))], "_source")


def test_drift_is_what_pandas_computes(site: Path) -> None:
    """Every measure of drift, against figures that pandas and numpy make of the same rows."""
    rng = np.random.default_rng(7)
    n = 1000

    def frame(shift: float, holes: float, cats: list[float]) -> pd.DataFrame:
        x = rng.normal(5 + shift, 2, n)
        y = rng.integers(0, 1000, n).astype("float64")
        y[rng.random(n) < holes] = np.nan
        return pd.DataFrame(
            {
                "id": np.arange(n),
                "x": x,
                "y": pd.array(y, dtype="Int64"),
                "c": rng.choice(["red", "green", "blue"], n, p=cats),
                "d": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 100, n) + int(10 * shift), unit="D"),
            }
        )

    was, now = frame(0, 0.1, [0.6, 0.3, 0.1]), frame(0.5, 0.25, [0.3, 0.3, 0.4])
    with stemma.connect(site) as repo:
        repo.write(was, "facts", primary_key="id", message="was")
        write(site, "train:\n- facts@main\nretrain: {facts: {drift: {top: 0.2}}}\n")
        repo.data_lock()
        repo.write(now, "facts", message="now")
        report = json.loads("\n".join(repo.data_retrain(json=True).lines))
    assert report["retrain"] is True
    drift = {d["column"]: d for d in report["items"][0]["drift"]}

    def quantiles(s: pd.Series) -> np.ndarray:
        ordered = np.sort(s.dropna().to_numpy(dtype="float64"))
        return np.array([ordered[int(q * (len(ordered) - 1) + 0.5)] for q in (0.05, 0.25, 0.5, 0.75, 0.95)])

    for column in ("x", "y"):
        a, b = was[column].astype("float64"), now[column].astype("float64")
        unit = a.std(ddof=0)
        d = drift[column]
        assert d["null_rate"] == pytest.approx(abs(a.isna().mean() - b.isna().mean()), abs=1e-12)
        assert d["was"]["mean"] == pytest.approx(a.mean(), rel=1e-12)
        assert d["was"]["deviation"] == pytest.approx(unit, rel=1e-9)
        assert d["mean"] == pytest.approx(abs(a.mean() - b.mean()) / unit, rel=1e-9)
        assert d["is"]["quantiles"] == pytest.approx(quantiles(b).tolist(), rel=1e-12)
        # and nearly those between rows
        assert d["is"]["quantiles"] == pytest.approx(b.dropna().quantile([0.05, 0.25, 0.5, 0.75, 0.95]).tolist(), abs=unit / 20)
        assert d["quantile"] == pytest.approx((np.abs(quantiles(a) - quantiles(b)) / unit).max(), rel=1e-9)
    shares = was["c"].value_counts(normalize=True).sub(now["c"].value_counts(normalize=True), fill_value=0)
    assert drift["c"]["top"] == pytest.approx(shares.abs().sum() / 2, abs=1e-12)
    assert {s["value"]: s["share"] for s in drift["c"]["was"]["top"]} == pytest.approx(
        was["c"].value_counts(normalize=True).to_dict()
    )
    seconds = [s.astype("datetime64[us]").astype("int64") / 1e6 for s in (was["d"], now["d"])]
    assert drift["d"]["mean"] == pytest.approx(abs(seconds[0].mean() - seconds[1].mean()) / seconds[0].std(ddof=0), rel=1e-9)
    assert report["items"][0]["reasons"] == [f"c: top drifted by {drift['c']['top']:.4g}, the limit is 0.2"]


def test_a_part_is_judged_by_its_own_rows(site: Path) -> None:
    write(site, "train:\n- {table: client_data, ref: main, where: country = 'DE', columns: [size]}\n")
    with stemma.connect(site) as repo:
        repo.data_lock()
        repo.write({"id": [2], "size": [99]}, "client_data", mode="upsert", message="of another country")
        repo.write({"id": [1], "note": ["z"]}, "client_data", mode="upsert", message="of another column")
        assert repo.data_retrain().exit_code == 0
        assert cli(site, "data", "lock", "--check").startswith("stemma.lock is up to date.")
        repo.write({"id": [3], "size": [31]}, "client_data", mode="upsert", message="of the part")
        row = repo.data_retrain()[0]
        assert (row.rows_added, row.rows_removed, row.rows_modified, row.percent) == (0, 0, 1, 50.0)
        assert repo.data_retrain().exit_code == 10


def test_drift_of_what_is_no_number(site: Path) -> None:
    def rows(x: list[float | None]) -> pa.Table:
        return pa.table({"id": range(len(x)), "x": pa.array(x, pa.float64())})

    with stemma.connect(site) as repo:
        repo.write(rows([1.0, 2.0, 3.0, 4.0]), "facts", primary_key="id", message="was")
        write(site, "train:\n- facts@main\nretrain: {facts: {drift: {null_rate: 0.5, mean: 99}}}\n")
        repo.data_lock()
        repo.write(rows([1.0, float("nan"), None, float("inf")]), "facts", message="now")
        report = json.loads("\n".join(repo.data_retrain(json=True).lines))
    (drift,) = [d for d in report["items"][0]["drift"] if d["column"] == "x"]
    assert (drift["null_rate"], drift["is"]["mean"], drift["is"]["quantiles"]) == (0.5, 1.0, [1.0] * 5)
    assert report["items"][0]["reasons"] == ["x: null_rate drifted by 0.5, the limit is 0.5"]
