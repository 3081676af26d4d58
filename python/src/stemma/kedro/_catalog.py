"""The databases that a catalog is about, and which datasets are of which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stemma._database import Database, OfRepo, OfUrl
from stemma._errors import InvalidError, NotFoundError, nearest
from stemma.kedro import _plain
from stemma.kedro.datasets import TableDataset, _Dataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Place", "databases", "place", "same", "unwrapped"]


@dataclass
class Place:
    """A database and the datasets that are of it, by name."""

    database: Database
    datasets: list[tuple[str, Any]]

    def table(self, dataset: str) -> str:
        """Returns the table of a dataset; NotFoundError says which there are."""
        tables = {name: t for name, d in self.datasets if (t := table_of(d)) is not None}
        if dataset in tables:
            return tables[dataset]
        if dataset in tables.values():
            return dataset
        raise NotFoundError(
            f"the catalog has no dataset {dataset!r} that is a table of {self.database.name}",
            hint=nearest(dataset, list(tables)) or f"there are {', '.join(sorted(tables))}",
        )


def table_of(dataset: Any) -> str | None:
    """Returns the table of a dataset; None when it is none."""
    if isinstance(dataset, TableDataset):
        return dataset._table
    name = (getattr(dataset, "_load_args", None) or {}).get("table_name")
    return name if isinstance(name, str) else None


def unwrapped(dataset: Any) -> Any:
    """Returns the dataset within those that wrap it, as CachedDataset does."""
    while not isinstance(dataset, _Dataset) and hasattr(dataset, "_dataset"):
        dataset = dataset._dataset
    return dataset


def _reached(dataset: Any, key: Any) -> Database:
    if not isinstance(dataset, _Dataset):
        return OfUrl(key, _plain.arguments(dataset))
    from stemma import _default  # all of a repository, which a catalog of other libraries' datasets has no use for

    return OfRepo(_default.shared(*key))


def databases(found: Iterable[tuple[str, Any]], only: str | None = None) -> Iterator[Place]:
    """Returns the databases of datasets, each once, however it is reached; only the one of a name, if it is given."""
    ways: dict[Any, Place] = {}
    for name, dataset in found:
        key: Any = dataset._where() if isinstance(dataset, _Dataset) else dataset._connection_str
        if key not in ways:
            ways[key] = Place(_reached(dataset, key), [])
        ways[key].datasets.append((name, dataset))
    one: dict[tuple[str, str], Place] = {}
    for way in ways.values():
        ((server, name),) = way.database.rows("select @@server_uuid, database()")
        identity = (str(server), _normal(str(name).partition("/")[0]))
        if only is not None and not same(identity[1], only):
            way.database.close()
        elif identity in one:
            one[identity].datasets.extend(way.datasets)
            way.database.close()
        else:
            one[identity] = way
    yield from one.values()


def place(metadata: Any, env: str | None, database: str | None) -> Place:
    """Returns the database of a project, of which the catalog has one, or the one of a name.

    Args:
        metadata: Kedro's of the project.
        env: Kedro's environment.
        database: the name.

    Raises:
        NotFoundError: the catalog has no such database.
        InvalidError: it has several.

    """
    from kedro.framework.project import settings
    from kedro.framework.session import KedroSession

    with KedroSession.create(project_path=metadata.project_path, env=env, save_on_close=False) as session:
        catalog = session.load_context().catalog
    wanted = database or getattr(settings, "DOLT_DATABASE", None)
    found = []
    for name in _names(catalog):
        dataset = unwrapped(catalog.get(name))
        if isinstance(dataset, _Dataset) or (_plain.database(dataset) is not None and wanted in {None, _plain.database(dataset)}):
            found.append((name, dataset))
    places = list(databases(found, wanted))
    if len(places) == 1:
        return places[0]
    names = sorted({p.database.name for p in places})
    for p in places:
        p.database.close()
    if not places:
        raise NotFoundError(
            "the catalog has no dataset of a stemma database" + (f" {wanted!r}" if wanted else ""),
            hint="give one the type stemma.kedro.TableDataset",
        )
    raise InvalidError(f"the catalog has several databases: {', '.join(names)}", hint="choose one with --database")


def _names(catalog: Any) -> list[str]:
    """Returns the names of a catalog's datasets, with those of the project's pipelines that a pattern of the catalog makes."""
    names = set(catalog)
    if catalog.config_resolver.list_patterns():
        from kedro.framework.project import pipelines

        names |= {n for p in pipelines.values() for n in p.datasets() if not n.startswith("params:") and n in catalog}
    return sorted(names)


def same(name: str | None, other: str) -> bool:
    """Tells whether two names are of one database: a directory a-b answers to a_b as well."""
    return name is not None and _normal(name) == _normal(other)


def _normal(name: str) -> str:
    return name.replace("-", "_").lower()
