"""stemma in flows of Metaflow: tables of one commit in, one commit out, and the run that made a table.

    from stemma.metaflow import DoltConfig, DoltDT

    with DoltDT(run=self, config=DoltConfig(database="path/or/uri", branch="main")) as dolt:
        prices = dolt.read("prices")
        dolt.write(prices.groupby("code").median(numeric_only=True), "medians")

    DoltDT(run=Flow("Medians").latest_successful_run).read("medians")           # what a run read or wrote, as it was
    DoltDT(config=DoltConfig(database="path/or/uri")).get_run("medians")        # 'Medians/1617810636925188/start/1'

The names are those of Dolt's plugin of 2021, so that flows written for it run as they are; docs/metaflow.md tells what they do here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemma.metaflow._audit import Audit, DoltAction, DoltConfig
    from stemma.metaflow._card import lineage_card
    from stemma.metaflow._data import DoltDT
    from stemma.metaflow._decorator import stemma

_HOMES = {
    "Audit": "_audit",
    "DoltAction": "_audit",
    "DoltConfig": "_audit",
    "DoltDT": "_data",
    "lineage_card": "_card",
    "stemma": "_decorator",
}

__all__ = ["Audit", "DoltAction", "DoltConfig", "DoltDT", "lineage_card", "stemma"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'stemma.metaflow' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"stemma.metaflow.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
