"""Copies of databases that are at remotes: in a directory of the user's cache, with only what was read of them."""

from __future__ import annotations

from stemma import _owner

__all__ = ["copy_of"]

LONGEST = 600.0
"""Seconds that making a copy, or bringing it to what the remote is by now, may take; commits are all that it needs."""


def copy_of(url: str) -> str:
    """Returns the directory of the copy of the database at a remote's URL, which is as the remote is by now. A process answers for it.

    It is in STEMMA_CACHE, XDG_CACHE_HOME/stemma or ~/.cache/stemma, and may be removed at any time.

    Raises:
        StemmaError: the remote cannot be read.

    """
    return _owner.run(["serve", "--private", url], f"{url} could not be read", LONGEST)
