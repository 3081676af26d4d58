"""The errors of stemma.

Every error that a call raises is a `StemmaError`::

    StemmaError                 code
    ├── InternalError           internal        a defect of stemma
    ├── InvalidError            invalid         a request that makes no sense; also a ValueError
    ├── NotFoundError           not-found       a table, ref, database or file that is not there; also a LookupError
    ├── ExistsError             exists          a name that is taken
    ├── ConflictError           conflict        a merge or a concurrent change stands against it
    ├── ConstraintError         constraint      a row violates the schema
    │   └── DuplicateKeyError   duplicate-key   a key that is there already
    ├── UnsupportedError        unsupported     understood, but not offered
    ├── ReadOnlyError           read-only       the ref or the database cannot be written
    ├── DeniedError             denied          the user or the operating system forbids it
    ├── CorruptError            corrupt         stored bytes are not what they were
    ├── TooNewError             too-new         client, server or store are of versions that do not fit
    ├── NoSpaceError            no-space        the disk or a quota is full
    ├── CanceledError           canceled        the call was given up
    ├── UnavailableError        unavailable     a server cannot be reached; also a ConnectionError
    │   └── LockedError         locked          another process owns the database and does not answer
    └── NothingToDoError        nothing-to-do   nothing to commit, up to date already

`stemma help CODE` tells more about each code.
"""

from __future__ import annotations

from typing import Any


class StemmaError(Exception):
    """What every failed call raises.

    Attributes:
        code: the class of the error, one of the words that `stemma help` explains.
        message: what is wrong, in one sentence.
        hint: what to do about it; None when there is no advice.
        did_you_mean: the names nearest to one that does not exist.
        database, ref, table, column: what the error is about; None where that does not apply.
        row: the row of the frame that was written, counted from 0; None where that does not apply.

    """

    code = "internal"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        did_you_mean: tuple[str, ...] = (),
        database: str | None = None,
        ref: str | None = None,
        table: str | None = None,
        column: str | None = None,
        row: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.did_you_mean = did_you_mean
        self.database = database
        self.ref = ref
        self.table = table
        self.column = column
        self.row = row

    def __str__(self) -> str:
        out = self.message
        if self.did_you_mean and "did you mean" not in f"{out}{self.hint}":
            out += f"; did you mean {' or '.join(map(repr, self.did_you_mean))}?"
        return f"{out} ({self.hint})" if self.hint else out

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (
            type(self),
            self.message,
            {k: v for k, v in vars(self).items() if k != "message" and not k.startswith("__")},
        )


class InternalError(StemmaError):
    """A defect of stemma; please report it."""

    code = "internal"


class InvalidError(StemmaError, ValueError):
    """A request that makes no sense: a value, a frame or a URI of the wrong form."""

    code = "invalid"


class NotFoundError(StemmaError, LookupError):
    """A table, ref, database or file that is not there."""

    code = "not-found"


class ExistsError(StemmaError):
    """A name that is taken."""

    code = "exists"


class ConflictError(StemmaError):
    """A merge or a concurrent change stands against it."""

    code = "conflict"


class ConstraintError(StemmaError):
    """A row violates a constraint of the schema."""

    code = "constraint"


class DuplicateKeyError(ConstraintError):
    """A primary or unique key that is there already."""

    code = "duplicate-key"


class UnsupportedError(StemmaError):
    """Understood, but not offered."""

    code = "unsupported"


class ReadOnlyError(StemmaError):
    """The ref, the session or the database cannot be written."""

    code = "read-only"


class DeniedError(StemmaError):
    """The user or the operating system forbids it."""

    code = "denied"


class CorruptError(StemmaError):
    """Stored bytes are not what they were."""

    code = "corrupt"


class TooNewError(StemmaError):
    """Client, server or store are of versions that do not fit each other."""

    code = "too-new"


class NoSpaceError(StemmaError):
    """The disk or a quota is full."""

    code = "no-space"


class CanceledError(StemmaError):
    """The call was given up."""

    code = "canceled"


class UnavailableError(StemmaError, ConnectionError):
    """A server, a remote or the program cannot be reached."""

    code = "unavailable"


class LockedError(UnavailableError):
    """Another process owns the database and does not answer."""

    code = "locked"


class NothingToDoError(StemmaError):
    """There is nothing to commit, or all is up to date."""

    code = "nothing-to-do"


CLASSES: dict[str, type[StemmaError]] = {
    c.code: c
    for c in (
        InternalError,
        InvalidError,
        NotFoundError,
        ExistsError,
        ConflictError,
        ConstraintError,
        DuplicateKeyError,
        UnsupportedError,
        ReadOnlyError,
        DeniedError,
        CorruptError,
        TooNewError,
        NoSpaceError,
        CanceledError,
        UnavailableError,
        LockedError,
        NothingToDoError,
    )
}
"""The class of each code."""


def from_wire(error: dict[str, Any]) -> StemmaError:
    """Returns the error that a server described. A code of a newer server is an InternalError with that code."""
    code = str(error.get("code") or "internal")
    made = CLASSES.get(code, InternalError)(
        str(error.get("message") or code),
        hint=error.get("hint") or None,
        did_you_mean=tuple(error.get("did_you_mean") or ()),
        **{k: error.get(k) for k in ("database", "ref", "table", "column", "row")},
    )
    if code not in CLASSES:
        made.code = code
    return made


def nearest(name: str, names: list[str]) -> str:
    """Returns a hint that names what was meant, or an empty string."""
    from difflib import get_close_matches

    found = get_close_matches(name, names, 3)
    return f"did you mean {' or '.join(repr(f) for f in found)}?" if found else ""


def _revive(cls: type[StemmaError], message: str, state: dict[str, Any]) -> StemmaError:
    e = cls(message)
    vars(e).update(state)
    return e
