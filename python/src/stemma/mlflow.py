"""Tables as datasets of MLflow 3: which rows a model was trained on, as MLflow shows it, with the way back to them.

    import mlflow, stemma.mlflow

    train = mlflow.data.from_stemma("prices", "main", uri="stemma://localhost:8815/shop", targets="price")
    with mlflow.start_run():
        stemma.mlflow.log_input(train, context="training")
        model.fit(train.df.drop(columns="price"), train.df["price"])

The constructor and the source come with the package, by MLflow's entry points.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.pandas_dataset import PandasDataset

from stemma import _address
from stemma._errors import InvalidError, NotFoundError
from stemma._repo import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["StemmaDataset", "StemmaSource", "from_stemma", "log_input"]

TYPE = "stemma"
DIGEST = 32
"""The length of digests, as hashes are shown; MLflow takes at most 36 characters."""


class StemmaSource(DatasetSource):
    """Where the rows of a dataset are: a table at a commit.

    Attributes:
        uri: the database, without a password.
        database: the database of a server that has several; None for others.
        table: the table.
        ref: the ref that was asked for.
        commit: the commit that it named, all 52 characters.
        table_hash: the hash of the whole table there; equal hashes are equal rows and schemas.
        columns, where: what was read of it; None is all.

    """

    def __init__(
        self,
        *,
        uri: str,
        table: str,
        commit: str,
        table_hash: str,
        ref: str | None = None,
        database: str | None = None,
        columns: Sequence[str] | None = None,
        where: str | None = None,
    ) -> None:
        self.uri = uri
        self.database = database
        self.table = table
        self.ref = ref
        self.commit = commit
        self.table_hash = table_hash
        self.columns = None if columns is None else list(columns)
        self.where = where

    @staticmethod
    def _get_source_type() -> str:
        return TYPE

    def load(self, **options: Any) -> pd.DataFrame:
        """Returns the rows again, as a frame of pandas. options are those of `stemma.connect`, as `uri` where the database has moved.

        Raises:
            NotFoundError: the commit is not in the database, or its table is another.

        """
        with connect(options.pop("uri", self.uri), **{"database": self.database, **options}) as repo:
            found = repo.resolve(self.commit, self.table)
            if found.table_hash != self.table_hash:
                raise NotFoundError(f"table {self.table} at {self.commit[:DIGEST]} is not the one that was read", table=self.table)
            return repo.read_pandas(self.table, self.commit, columns=self.columns, where=self.where)

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return isinstance(raw_source, StemmaSource)

    @classmethod
    def _resolve(cls, raw_source: Any) -> StemmaSource:
        return cls(**raw_source.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Returns what MLflow keeps of the source."""
        return {k: v for k, v in vars(self).items() if v is not None}

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> StemmaSource:
        """Returns the source of what MLflow has kept."""
        return cls(**source_dict)


class StemmaDataset(PandasDataset):
    """Rows of a table at a commit. Its digest is the table's hash; of a part of a table, a hash of that and of what the part is."""

    def _compute_digest(self) -> str:
        source = self.source
        if source.columns is None and source.where is None:
            return str(source.table_hash[:DIGEST])
        part = json.dumps([source.table_hash, source.columns, source.where]).encode()
        return base64.b32hexencode(hashlib.sha256(part).digest()).decode("ascii").lower()[:DIGEST]


def from_stemma(
    table: str,
    ref: str = "HEAD",
    *,
    uri: str | None = None,
    database: str | None = None,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    targets: str | None = None,
    predictions: str | None = None,
    name: str | None = None,
    digest: str | None = None,
) -> StemmaDataset:
    """Returns a table at a ref as a dataset of MLflow. `mlflow.data.from_stemma` is the same.

    Args:
        table: the table.
        ref: a branch, tag, commit or time; it is resolved now, to a commit.
        uri: the database, as for `stemma.connect`; None is that of STEMMA_URI, stemma.yaml or the working directory.
        database: the database of a server that has several.
        columns: these columns only.
        where: rows for which this condition of SQL holds.
        targets: the column with what is to be predicted.
        predictions: the column with what a model has predicted.
        name: the dataset's name; the table's by default.
        digest: a digest other than the table's hash.

    """
    where_is = uri or _address.default()
    with connect(where_is, database=database) as repo:
        found = repo.resolve(ref, table)
        # A branch with uncommitted changes means its newest commit: only commits can be read again.
        commit = found.commit or str(repo.log(ref, number=1)[0].commit_hash)
        found = repo.resolve(commit, table)
        if found.table_hash is None:
            hint = "write what it shows into a table, or name the tables that it reads"
            raise InvalidError(f"{table} is a view, whose rows have no hash by which they are found again", hint=hint, table=table)
        frame = repo.read_pandas(table, str(found.commit), columns=columns, where=where)
        source = StemmaSource(
            uri=repo.uri,
            database=database,
            table=table,
            ref=ref,
            commit=str(found.commit),
            table_hash=str(found.table_hash),
            columns=columns,
            where=where,
        )
    return StemmaDataset(frame, source, targets=targets, name=name or table, digest=digest, predictions=predictions)


# MLflow looks at the annotation itself, not at its text.
from_stemma.__annotations__["return"] = StemmaDataset


def log_input(dataset: StemmaDataset, context: str | None = None, *, lock: str | Path | None = "stemma.lock") -> None:
    """Logs a dataset as an input of MLflow's active run, and tags the run with the way back to its rows.

    The tags are `stemma.commit.<name>` and `stemma.table_hash.<name>` with all 52 characters, and `stemma.lock` with the SHA-256 of the lock
    file of the training data, where there is one.

    Args:
        dataset: what from_stemma returned.
        context: what it is for, as `training`.
        lock: the lock file; None for none.

    """
    source = dataset.source
    tags = {"stemma.commit": source.commit, "stemma.table_hash": source.table_hash}
    mlflow.log_input(dataset, context=context, tags=tags)
    run = {f"{k}.{dataset.name}": v for k, v in tags.items()}
    if lock is not None and Path(lock).is_file():
        run["stemma.lock"] = hashlib.sha256(Path(lock).read_bytes()).hexdigest()
    mlflow.set_tags(run)
