"""`DoltDT` and `DoltConfig`, as flows of 2021 import them."""

from __future__ import annotations

from dolt_integrations.metaflow.dolt import DoltConfig, DoltDT, detach_head

__all__ = ["DoltConfig", "DoltDT", "detach_head"]
