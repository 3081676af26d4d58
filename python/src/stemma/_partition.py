"""A part of a table at a commit, to be read by a worker of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stemma._errors import UnsupportedError
from stemma._statements import select, within

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from stemma._address import Address
    from stemma._answers import Settings
    from stemma._tables import Reads


@dataclass(frozen=True)
class Partition:
    """A range of a table's rows at a commit. It can be pickled, and read wherever the database can be reached.

    Attributes:
        address, settings: the database.
        table: the table.
        commit: the commit that it is read at.
        start, stop: the rows, from start up to before stop in the order of the key, counted from 0.
        first, last: the keys of the first and the last of them; None for a table without a key.

    """

    address: Address = field(repr=False)
    settings: Settings = field(repr=False)
    table: str
    commit: str
    start: int
    stop: int
    first: Mapping[str, Any] | None = None
    last: Mapping[str, Any] | None = None

    @property
    def rows(self) -> int:
        """The number of its rows."""
        return self.stop - self.start

    def _repo(self) -> Reads:
        from stemma._default import shared

        return shared(self.address, self.settings)

    def scan(self, *, columns: Sequence[str] | None = None, where: str | None = None) -> pa.RecordBatchReader:
        """Returns its rows as a reader of record batches: these columns only, and only where a condition in SQL holds."""
        if where is None:
            return self._repo().scan(self.table, self.commit, columns=columns, rows=(self.start, self.stop))
        if self.first is None or self.last is None:
            raise UnsupportedError(
                f"a part of {self.table} cannot be read with a condition: the table has no primary key", table=self.table
            )
        keys, params = within(self.first, self.last)
        return self._repo().query(select(self.table, columns, f"{keys} and ({where})"), ref=self.commit, params=params)

    def read_arrow(self, *, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """Returns its rows as an Arrow table."""
        return self.scan(columns=columns, where=where).read_all()

    def read_pandas(self, *, columns: Sequence[str] | None = None, where: str | None = None) -> pd.DataFrame:
        """Returns its rows as a frame of pandas."""
        from stemma import _pandas

        return _pandas.from_arrow(self.read_arrow(columns=columns, where=where))

    def read_polars(self, *, columns: Sequence[str] | None = None, where: str | None = None) -> pl.DataFrame:
        """Returns its rows as a frame of Polars."""
        from stemma import _read

        return _read.to_polars(self.read_arrow(columns=columns, where=where))
