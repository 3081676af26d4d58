"""stemma: a version-controlled SQL database for data and ML pipelines.

    import stemma

    prices = stemma.read_pandas("prices", "main")        # a table at a branch, tag, commit or time, as a frame
    repo = stemma.connect("path/to/database")            # or stemma://host:8815/database
    with repo.transaction("new prices") as tx:
        tx.write(prices, "prices", mode="upsert")
    repo.log()
    train = stemma.load("stemma.yaml", split="train")    # the rows that a lock file pins

Modules are loaded when they are needed: importing stemma imports neither pandas nor Arrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stemma._version import __version__

if TYPE_CHECKING:
    from stemma._answers import Resolved, WriteResult
    from stemma._default import default, partitions, read_arrow, read_pandas, read_polars, scan, sql, write
    from stemma._errors import (
        CanceledError,
        ConflictError,
        ConstraintError,
        CorruptError,
        DeniedError,
        DuplicateKeyError,
        ExistsError,
        InternalError,
        InvalidError,
        LockedError,
        NoSpaceError,
        NotFoundError,
        NothingToDoError,
        ReadOnlyError,
        StemmaError,
        TooNewError,
        UnavailableError,
        UnsupportedError,
    )
    from stemma._notebook import load_ipython_extension
    from stemma._partition import Partition
    from stemma._places import backup_restore, clone, ls_remote
    from stemma._progress import show_progress
    from stemma._repo import Repo, Transaction, connect
    from stemma._results import Result, Row
    from stemma._training import SchemaWarning, SharedKeysWarning, StaleLockWarning, load

_HOMES = {
    "_default": ("default", "partitions", "read_arrow", "read_pandas", "read_polars", "scan", "sql", "write"),
    "_errors": (
        "CanceledError",
        "ConflictError",
        "ConstraintError",
        "CorruptError",
        "DeniedError",
        "DuplicateKeyError",
        "ExistsError",
        "InternalError",
        "InvalidError",
        "LockedError",
        "NoSpaceError",
        "NotFoundError",
        "NothingToDoError",
        "ReadOnlyError",
        "StemmaError",
        "TooNewError",
        "UnavailableError",
        "UnsupportedError",
    ),
    "_notebook": ("load_ipython_extension",),
    "_partition": ("Partition",),
    "_places": ("backup_restore", "clone", "ls_remote"),
    "_progress": ("show_progress",),
    "_answers": ("Resolved", "WriteResult"),
    "_repo": ("Repo", "Transaction", "connect"),
    "_results": ("Result", "Row"),
    "_training": ("SchemaWarning", "SharedKeysWarning", "StaleLockWarning", "load"),
}

__all__ = [
    "CanceledError",
    "ConflictError",
    "ConstraintError",
    "CorruptError",
    "DeniedError",
    "DuplicateKeyError",
    "ExistsError",
    "InternalError",
    "InvalidError",
    "LockedError",
    "NoSpaceError",
    "NotFoundError",
    "NothingToDoError",
    "Partition",
    "ReadOnlyError",
    "Repo",
    "Resolved",
    "Result",
    "Row",
    "SchemaWarning",
    "SharedKeysWarning",
    "StaleLockWarning",
    "StemmaError",
    "TooNewError",
    "Transaction",
    "UnavailableError",
    "UnsupportedError",
    "WriteResult",
    "__version__",
    "backup_restore",
    "clone",
    "connect",
    "default",
    "load",
    "load_ipython_extension",
    "ls_remote",
    "partitions",
    "read_arrow",
    "read_pandas",
    "read_polars",
    "scan",
    "show_progress",
    "sql",
    "write",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            value = getattr(import_module(f"stemma.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'stemma' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
