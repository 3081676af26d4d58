"""Datasets of MLflow."""

from __future__ import annotations

from pathlib import Path

import mlflow
import mlflow.data
import pandas as pd
import pytest
from mlflow.data.dataset_source_registry import get_dataset_source_from_json

import stemma
import stemma.mlflow
from project import Server


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"file://{tmp_path / 'mlruns'}")


def test_inputs_of_runs(own: Server, tracking: None, tmp_path: Path) -> None:
    with stemma.connect(own.uri) as repo:
        repo.write(pd.DataFrame({"x": [1, 2, 3], "y": [0, 1, 0]}), "t", primary_key="x", message="one")
        hashed = repo.resolve("HEAD", "t")
        data = mlflow.data.from_stemma("t", "main", uri=own.uri, targets="y")
        assert data.digest == hashed.table_hash[:32]
        assert data.df["x"].tolist() == [1, 2, 3]
        part = mlflow.data.from_stemma("t", "main", uri=own.uri, where="x > 1", name="part")
        assert len(part.digest) == 32
        assert part.digest != data.digest
        (tmp_path / "stemma.lock").write_text("version: 1\n")
        with mlflow.start_run() as run:
            stemma.mlflow.log_input(data, context="training")
            stemma.mlflow.log_input(part, context="test")
        repo.write(pd.DataFrame({"x": [9], "y": [1]}), "t", message="two")
        assert mlflow.data.from_stemma("t", uri=own.uri).digest != data.digest
    known = mlflow.get_run(run.info.run_id)
    assert known.data.tags["stemma.commit.t"] == hashed.commit
    assert known.data.tags["stemma.table_hash.t"] == hashed.table_hash
    assert len(known.data.tags["stemma.lock"]) == 64
    first, second = sorted(known.inputs.dataset_inputs, key=lambda i: i.dataset.name, reverse=True)
    assert (first.dataset.name, first.dataset.digest, first.dataset.source_type) == ("t", data.digest, "stemma")
    source = get_dataset_source_from_json(first.dataset.source, first.dataset.source_type)
    assert isinstance(source, stemma.mlflow.StemmaSource)
    assert source.load()["x"].tolist() == [1, 2, 3]
    assert mlflow.data.get_source(second).load()["x"].tolist() == [2, 3]


def test_what_is_not_there(own: Server, tracking: None) -> None:
    with pytest.raises(stemma.NotFoundError, match="nothing"):
        mlflow.data.from_stemma("nothing", uri=own.uri)
    with stemma.connect(own.uri) as repo:
        repo.write({"x": [1]}, "t", mode="replace", message="one")
        at = repo.resolve("HEAD", "t")
        repo.sql("create view v as select x from t")
        repo.commit("a view", ALL=True)
    with pytest.raises(stemma.InvalidError, match="v is a view"):
        mlflow.data.from_stemma("v", uri=own.uri)
    source = stemma.mlflow.StemmaSource(uri=own.uri, table="t", commit=str(at.commit), table_hash="0" * 52)
    with pytest.raises(stemma.NotFoundError, match="is not the one"):
        source.load()
    with pytest.raises(stemma.NotFoundError):
        stemma.mlflow.StemmaSource(uri=own.uri, table="t", commit="0" * 52, table_hash="0" * 52).load()
