"""The commands `kedro stemma log|diff|lineage|lock`, about the databases of a project's catalog."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma._errors import NotFoundError, StemmaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from stemma.kedro._catalog import Place

__all__ = ["commands"]


class _Failure(click.ClickException):
    """An error of stemma, with its hint on a line of its own."""

    def __init__(self, error: StemmaError) -> None:
        super().__init__(error.message)
        self.hint = error.hint

    def show(self, file: Any = None) -> None:
        """Prints the error and what to do about it."""
        super().show(file)
        if self.hint:
            click.echo(f"Hint: {self.hint}", err=True)


@click.group(name="stemma")
def commands() -> None:
    """Commands of Kedro for projects with stemma."""


@commands.group(name="stemma")
def stemma() -> None:
    """History, differences, lineage and locks of the project's databases."""


def _project(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options by which the catalog and the database in it are chosen."""
    for decorate in (
        click.option("--env", "-e", default=None, help="Kedro's environment of the configuration."),
        click.option("--database", "-d", default=None, help="The database, when the catalog has several."),
        click.pass_obj,
    ):
        command = decorate(command)
    return command


class _Opened:
    """The database of a project's catalog, for a `with`; an error of stemma in it ends the command with its hint."""

    def __init__(self, metadata: Any, env: str | None, database: str | None) -> None:
        self._metadata, self._env, self._name = metadata, env, database
        self._place: Place | None = None

    def __enter__(self) -> Place:
        from stemma.kedro._catalog import place

        try:
            self._place = place(self._metadata, self._env, self._name)
        except StemmaError as e:
            raise _Failure(e) from e
        return self._place

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        if self._place is not None:
            self._place.database.close()
        if isinstance(error, StemmaError):
            raise _Failure(error) from error


@stemma.command()
@click.argument("ref", required=False)
@click.option("--number", "-n", default=20, show_default=True, help="The number of commits.")
@_project
def log(metadata: Any, ref: str | None, number: int, env: str | None, database: str | None) -> None:
    """Show the commits of REF, by default of the branch that runs start from, with the parameters of their runs."""
    with _Opened(metadata, env, database) as place:
        at = ref or place.database.rows("select active_branch()")[0][0]
        query = "select commit_hash, author, author_email, author_date, message, metadata from dolt_log(?) limit ?"
        found = place.database.rows(query, at, number)
        for commit, author, mail, date, message, known in found:
            click.echo(f"commit {commit}\nAuthor: {author} <{mail}>\nDate:   {str(date).partition('.')[0]}")
            meta = json.loads(known) if isinstance(known, str) else known or {}
            if params := meta.get("params"):
                click.echo(f"Params: {json.dumps(params)}")
            click.echo("\n" + "\n".join(f"\t{line}" for line in str(message).splitlines()) + "\n")


@stemma.command()
@click.argument("old")
@click.argument("new")
@click.argument("dataset", required=False)
@click.option("--limit", default=20, show_default=True, help="The number of rows of a dataset.")
@_project
def diff(  # noqa: PLR0917 - click gives them by name
    metadata: Any, old: str, new: str, dataset: str | None, limit: int, env: str | None, database: str | None
) -> None:
    """Show what changed from OLD to NEW: numbers of rows by table, or the rows of one DATASET of the catalog."""
    with _Opened(metadata, env, database) as place:
        if dataset is None:
            query = (
                "select table_name, rows_added, rows_deleted, rows_modified, old_row_count, new_row_count from dolt_diff_stat(?, ?)"
            )
            _draw(*place.database.answer(query, old, new))
            return
        names, rows = place.database.answer("select * from dolt_diff(?, ?, ?) limit ?", old, new, place.table(dataset), limit)
        _draw(*_sides(names, rows))


def _sides(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> tuple[list[str], list[list[Any]]]:
    """Returns the rows of dolt_diff as lines with - for what was, + for what is, and only the columns of the table."""
    own = [n.removeprefix("to_") for n in names if n.startswith("to_") and n not in {"to_commit", "to_commit_date"}]
    own += [m for n in names if n.startswith("from_") and (m := n.removeprefix("from_")) not in {*own, "commit", "commit_date"}]
    at = {n: i for i, n in enumerate(names)}
    out = []
    for r in rows:
        kind = r[at["diff_type"]]
        for side, sign in (("from", "-" if kind == "removed" else "<"), ("to", "+" if kind == "added" else ">")):
            if kind != {"from": "added", "to": "removed"}[side]:
                out.append([sign, *(r[at[f"{side}_{c}"]] if f"{side}_{c}" in at else None for c in own)])
    return ["", *own], out


@stemma.command()
@click.argument("dataset")
@click.option("--ref", default=None, help="Where the dataset is looked at; the branch that runs start from by default.")
@click.option("--depth", default=3, show_default=True, help="The number of runs to go through.")
@_project
def lineage(metadata: Any, dataset: str, ref: str | None, depth: int, env: str | None, database: str | None) -> None:  # noqa: PLR0917 - click gives them by name
    """Show the run that made a DATASET of the catalog, what it read, and the runs that made that."""
    from stemma import _runs

    with _Opened(metadata, env, database) as place:
        table = place.table(dataset)
        at = ref or str(place.database.rows("select active_branch()")[0][0])
        edges = _runs.lineage(place.database.rows, table, at, depth=depth)
        if not edges:
            raise NotFoundError(f"no run that is recorded has made {table} in the history of {at}")
        columns = ["level", "table", "commit", "run", "system", "state", "source", "source_commit"]
        _draw(columns, [[getattr(e, c) for c in columns] for e in edges])


@stemma.command()
@click.option(
    "--ref", default=None, help="Lock datasets without a ref of their own at this one; the branch that runs start from by default."
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 when the lock is missing, or not what the refs mean now.")
@_project
def lock(metadata: Any, ref: str | None, check: bool, env: str | None, database: str | None) -> None:
    """Write to kedro.lock which commit and rows each dataset of stemma means now.

    `kedro run --params stemma.locked=true` reads the inputs of its pipeline as they are locked.
    """
    from stemma.kedro import _lock

    with _Opened(metadata, env, database) as place:
        file = Path(metadata.project_path) / _lock.NAME
        entries = _lock.resolve(place, ref)
        if check:
            stale = _lock.stale(_lock.read(file), entries)
            for line in stale:
                click.echo(line)
            if stale:
                raise click.exceptions.Exit(1)
            return
        _lock.write(file, entries)
        _draw(["dataset", "ref", "commit", "rows"], [[e.dataset, e.ref, e.commit[:32], e.rows] for e in entries])


def _draw(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Prints rows as a table, as the program's do."""
    cells = [["NULL" if v is None else f"{v:g}" if isinstance(v, float) else str(v) for v in r] for r in rows]
    widths = [max(map(len, c)) for c in zip(columns, *cells, strict=True)]
    rule = "+" + "+".join("-" * (w + 2) for w in widths) + "+"
    for line in (None, columns, None, *cells, None):
        click.echo(rule if line is None else "|" + "|".join(f" {c:<{w}} " for c, w in zip(line, widths, strict=True)) + "|")
