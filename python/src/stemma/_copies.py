"""Copies of databases that are at remotes: in a directory of the user's cache, with only what was read of them."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from stemma import _owner
from stemma._address import database_directory
from stemma._errors import StemmaError

__all__ = ["copy_of"]

LONGEST = 600.0
"""Seconds that making a copy may take; it holds commits only."""

WAIT = 60.0
"""Seconds for which another process may be making the same copy."""


def copy_of(url: str) -> str:
    """Returns the directory of the copy of the database at a remote's URL, which is made when there is none.

    It is in STEMMA_CACHE, XDG_CACHE_HOME/stemma or ~/.cache/stemma, and may be removed at any time.

    Raises:
        StemmaError: the remote cannot be read.

    """
    cache = os.environ.get("STEMMA_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stemma"
    directory = Path(cache) / "remotes" / hashlib.sha256(url.encode()).hexdigest()[:32]
    until = time.monotonic() + WAIT
    while database_directory(directory) is None:
        directory.parent.mkdir(parents=True, exist_ok=True)
        try:
            _owner.run(["clone", "--lazy", url, str(directory)], f"{url} could not be read", LONGEST)
        except StemmaError as e:
            # Another process may make it at this moment, or have made it.
            if database_directory(directory) is None and (e.code != "locked" or time.monotonic() > until):
                raise
            time.sleep(0.2)
    return str(directory)
