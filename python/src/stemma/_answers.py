"""What goes with calls and what they answer, beside rows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What goes with every call.

    Attributes:
        database: the database; None is the directory's own, or the server's only one.
        branch: the branch to work on; None is the checked-out one, or the server's default.
        ref: what reads see; None is the working set of the branch.
        author: `Name <mail>` for commits; None is the user.
        run: the id of a run, kept with commits.
        run_node, run_attempt, run_alias: the part of the run that calls, its how manieth attempt, and what it calls the table.
        transaction: the id of the transaction that the calls are part of.

    """

    database: str | None = None
    branch: str | None = None
    ref: str | None = None
    author: str | None = None
    run: str | None = None
    run_node: str | None = None
    run_attempt: str | None = None
    run_alias: str | None = None
    transaction: str | None = None

    def headers(self) -> dict[str, str]:
        """Returns the settings as headers of a call."""
        return {f"stemma-{k.replace('_', '-')}": str(v) for k, v in dataclasses.asdict(self).items() if v is not None}


@dataclass(frozen=True)
class WriteResult:
    """What a write did.

    Attributes:
        table: the table that was written; database and branch say where.
        rows: the number of rows in the frame.
        inserted, updated, deleted, unchanged: what became of the table's rows.
        created: whether the table was made.
        commit: the commit that the write made; None when it left uncommitted changes.
        already: whether a write with the same id had been applied before, so that nothing was done.
        notes: what is stored otherwise than it was in the frame.

    """

    table: str
    database: str
    branch: str
    rows: int
    inserted: int
    updated: int
    deleted: int
    unchanged: int
    created: bool
    commit: str | None
    already: bool
    notes: tuple[str, ...] = ()
    in_transaction: bool = False

    @property
    def changed(self) -> int:
        """The number of rows that the write inserted, updated or deleted."""
        return self.inserted + self.updated + self.deleted

    def __repr__(self) -> str:
        out = f"{self.table}: {self.inserted:,} inserted, {self.updated:,} updated, {self.deleted:,} deleted, {self.unchanged:,} unchanged"
        if self.already:
            out += "; was written before"
        if self.commit:
            out += f"; commit {self.commit}"
        elif self.in_transaction:
            out += "; part of a transaction"
        elif self.changed or self.created:
            out += f"; uncommitted changes on {self.branch}"
        return "\n".join([out, *(f"note: {n}" for n in self.notes)])


@dataclass(frozen=True)
class Resolved:
    """What a ref names, and a table at it; None for what does not apply.

    Attributes:
        ref: the ref as it was given.
        commit: the commit; None for a working set with uncommitted changes.
        branch: the branch, if the ref is one.
        table, table_hash, schema_hash, rows, primary_key: the table, if one was asked for. Equal hashes mean equal rows and schemas.
        message, author, time: of the commit.

    """

    ref: str
    commit: str | None = None
    short: str | None = None
    branch: str | None = None
    table: str | None = None
    table_hash: str | None = None
    schema_hash: str | None = None
    rows: int | None = None
    primary_key: tuple[str, ...] | None = None
    message: str | None = None
    author: str | None = None
    time: str | None = None
