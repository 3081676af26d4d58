"""stemma for Kedro: datasets of tables and queries, and hooks that give each run a branch and one commit.

    # conf/base/catalog.yml
    features:
      type: stemma.kedro.TableDataset
      table: features
      primary_key: [id]
      credentials: stemma

    # conf/local/credentials.yml
    stemma: {uri: "stemma://localhost:8815/shop"}

The hooks come with the package (entry point `kedro.hooks`). `settings.HOOKS = (StemmaHooks(database="shop"),)` configures them, and takes
datasets of other libraries with them whose URL names that database. Kedro is imported when one of the names is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemma.kedro.datasets import QueryDataset, TableDataset
    from stemma.kedro.hooks import StemmaHooks

_HOMES = {"QueryDataset": "datasets", "TableDataset": "datasets", "StemmaHooks": "hooks"}

__all__ = ["QueryDataset", "StemmaHooks", "TableDataset"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(f"stemma.kedro.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'stemma.kedro' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
