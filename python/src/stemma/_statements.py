"""SQL that is made of names and conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def quoted(name: str) -> str:
    """Returns a name as SQL has it."""
    return "`" + name.replace("`", "``") + "`"


def select(table: str, columns: Sequence[str] | None = None, where: str | None = None, order: Sequence[str] | None = None) -> str:
    """Returns the query of these columns of the rows for which a condition holds, in the order of other columns."""
    chosen = ", ".join(map(quoted, columns)) if columns else "*"
    condition = f" where ({where}\n)" if where else ""
    by = f" order by {', '.join(map(quoted, order))}" if order else ""
    return f"select {chosen} from {quoted(table)}{condition}{by}"  # noqa: S608 - the names are quoted


def within(first: Mapping[str, Any], last: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Returns the condition that a key is from first up to last, both included, and its parameters."""
    low, a = _beyond(first, ">")
    high, b = _beyond(last, "<")
    return f"({low}) and ({high})", a + b


def _beyond(key: Mapping[str, Any], than: str) -> tuple[str, list[Any]]:
    """Returns the condition that a key is the given one or beyond it: (a > ?) or (a = ? and b >= ?)."""
    names = list(key)
    terms, params = [], []
    for i, n in enumerate(names):
        operator = than + "=" if i == len(names) - 1 else than
        terms.append("(" + " and ".join([*(f"{quoted(m)} = ?" for m in names[:i]), f"{quoted(n)} {operator} ?"]) + ")")
        params += [key[m] for m in names[: i + 1]]
    return " or ".join(terms), params
