"""The file kedro.lock: which commit, and which rows, the datasets of a catalog meant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import yaml

from stemma._database import OfRepo
from stemma._errors import InvalidError, NotFoundError, TooNewError
from stemma.kedro._catalog import table_of
from stemma.kedro.datasets import _Dataset

if TYPE_CHECKING:
    from pathlib import Path

    from stemma.kedro._catalog import Place

__all__ = ["NAME", "Entry", "read", "resolve", "stale", "write"]

NAME = "kedro.lock"
"""The name of the file, in the directory of the project."""

VERSION = 1
HEAD = "# Made by `kedro stemma lock`; do not edit. Commit it beside the catalog.\n"


@dataclass(frozen=True)
class Entry:
    """What a dataset meant.

    Attributes:
        dataset: its name in the catalog.
        ref: the ref that was asked for.
        commit: the commit that it named.
        table: the table; None for a query.
        table_hash: the table's hash; equal hashes are equal rows and schemas.
        rows: the number of the table's rows.

    """

    dataset: str
    ref: str
    commit: str
    table: str | None = None
    table_hash: str | None = None
    rows: int | None = None


def resolve(place: Place, ref: str | None) -> list[Entry]:
    """Returns what the datasets of stemma in a database mean now, by name; those that are not there yet are left out."""
    if not isinstance(place.database, OfRepo):
        raise InvalidError(
            "only datasets of stemma.kedro are locked", hint="give the catalog's datasets the type stemma.kedro.TableDataset"
        )
    repo = place.database.repo
    default = ref or str(place.database.rows("select active_branch()")[0][0])
    out = []
    for name, dataset in sorted(place.datasets):
        if not isinstance(dataset, _Dataset):
            continue
        asked, table = dataset._ref or default, table_of(dataset)
        commit = repo.resolve(str(place.database.rows("select hashof(?)", asked)[0][0])).commit
        try:
            found = repo.resolve(str(commit), table) if table is not None else None
        except NotFoundError:
            continue
        hashed, rows = (found.table_hash, found.rows) if found is not None else (None, None)
        out.append(Entry(name, asked, str(commit), table, hashed, rows))
    return out


def write(file: Path, entries: list[Entry]) -> None:
    """Writes a lock."""
    datasets = {e.dataset: {k: v for k, v in asdict(e).items() if k != "dataset" and v is not None} for e in entries}
    file.write_text(HEAD + yaml.safe_dump({"version": VERSION, "datasets": datasets}, sort_keys=False), encoding="utf-8")


def read(file: Path) -> dict[str, Entry]:
    """Returns the entries of a lock by dataset.

    Raises:
        NotFoundError: there is none.
        TooNewError: a newer version of stemma made it.
        InvalidError: it is no lock.

    """
    try:
        known = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"there is no {file}", hint="make it with 'kedro stemma lock'") from None
    except yaml.YAMLError as e:
        raise InvalidError(f"{file} cannot be read: {e}") from None
    if not isinstance(known, dict) or not isinstance(known.get("datasets"), dict):
        raise InvalidError(f"{file} is not a lock", hint="make it anew with 'kedro stemma lock'")
    if known.get("version") != VERSION:
        raise TooNewError(f"{file} has version {known.get('version')!r}; this program reads {VERSION}")
    try:
        return {name: Entry(dataset=name, **entry) for name, entry in known["datasets"].items()}
    except TypeError as e:
        raise InvalidError(f"{file}: {e}", hint="make it anew with 'kedro stemma lock'") from None


def stale(locked: dict[str, Entry], now: list[Entry]) -> list[str]:
    """Returns a line for each dataset whose rows are others now. A commit that moved while the table is the same is no reason."""
    out = []
    found = {e.dataset: e for e in now}
    for name, e in sorted(locked.items()):
        other = found.pop(name, None)
        if other is None:
            out.append(f"{name}: locked, and not there now")
        elif e.ref != other.ref:
            out.append(f"{name}: locked at {e.ref}, the catalog asks for {other.ref}")
        elif e.table_hash != other.table_hash or (e.table is None and e.commit != other.commit):
            out.append(f"{name}: locked at commit {e.commit[:32]}, {e.ref} has other rows now at {other.commit[:32]}")
    return out + [f"{name}: not locked" for name in sorted(found)]
