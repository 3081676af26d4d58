"""Frames of pandas from and to a `doltcli.Dolt`: `dolt_integrations.utils` of 2021. Values keep their types, and no row is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import stemma

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd
    from doltcli import Dolt

__all__ = ["read_pandas", "read_pandas_sql", "write_pandas"]


def read_pandas_sql(dolt: Dolt, sql: str) -> pd.DataFrame:
    """Returns the rows of a query."""
    return _repo(dolt).sql(sql)


def read_pandas(dolt: Dolt, table: str, as_of: str | None = None) -> pd.DataFrame:
    """Returns a table, at a commit, branch, tag or time."""
    return _repo(dolt).read_pandas(table, as_of)


def write_pandas(
    dolt: Dolt,
    table: str,
    df: pd.DataFrame,
    import_mode: str | None = None,
    primary_key: list[str] | None = None,
    commit: bool | None = False,
    commit_message: str | None = None,
    commit_date: dt.datetime | None = None,
) -> None:
    """Writes a frame to a table.

    Args:
        dolt: the database.
        table: the table.
        df: the frame.
        import_mode: `create`, `update` (which deletes nothing) or `replace`; None creates the table, or updates it when it is there.
        primary_key: the columns of a new table's key.
        commit: whether to commit.
        commit_message: the commit's message.
        commit_date: the commit's date.

    """
    repo = _repo(dolt)
    there = table in {t.name for t in dolt.ls()}
    keyed = _keyed(repo, table) if there else bool(primary_key)
    mode = {"create": "create", "replace": "replace", "update": "upsert" if keyed else "append"}[
        import_mode or ("update" if there else "create")
    ]
    repo.write(df, table, mode=mode, primary_key=primary_key if not there or mode == "replace" else None)  # type: ignore[arg-type]
    if commit:
        dolt.add(table)
        dolt.commit(commit_message or f"Updated {table}", date=commit_date)


def _keyed(repo: stemma.Repo, table: str) -> bool:
    query = "select 1 from information_schema.table_constraints where table_schema = database() and table_name = ? and constraint_type = 'PRIMARY KEY'"
    return bool(repo.query(query, params=[table]).read_all().num_rows)


def _repo(dolt: Dolt) -> stemma.Repo:
    return stemma.connect(dolt.repo_dir)
