"""What a dataset does during a run: plain data that goes with it to other processes."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

loading: ContextVar[str | None] = ContextVar("stemma_kedro_loading", default=None)
"""The node for which a dataset is being loaded in this thread, where Kedro tells."""


@dataclass(frozen=True)
class Binding:
    """What a dataset reads and writes while a run lasts.

    Attributes:
        run_id: Kedro's id of the run.
        run: the id under which the database records it; None where it does not record runs.
        branch: the branch that the run works on; None when it only reads.
        ref: the commit that a run which only reads is about.
        pins: what refs that the catalog names are commits of, as found when the run began.
        alias: the dataset's name in the catalog.
        node: the node that saves it, or the only one that loads it.

    """

    run_id: str
    run: str | None = None
    branch: str | None = None
    ref: str | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    alias: str | None = None
    node: str | None = None
