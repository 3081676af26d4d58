"""Tables to files and files to tables, on a branch, with a record of what was done: `dolt_integrations.core` of 2021.

It works on `doltcli.Dolt`, and so on the program under the name dolt (`bin/compat` first on PATH).
"""

from __future__ import annotations

from dolt_integrations.core.interface import (
    Action,
    Branch,
    CallbackMeta,
    DoltMeta,
    MergeBranch,
    Meta,
    NewBranch,
    Remote,
    SerialBranch,
    action_meta,
    load,
    save,
)

__all__ = [
    "Action",
    "Branch",
    "CallbackMeta",
    "DoltMeta",
    "MergeBranch",
    "Meta",
    "NewBranch",
    "Remote",
    "SerialBranch",
    "action_meta",
    "load",
    "save",
]
