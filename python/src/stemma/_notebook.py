"""The magic of notebooks: `%load_ext stemma`, then `%%stemma` over a cell of SQL."""

from __future__ import annotations

import shlex
from typing import Any

from stemma._errors import InvalidError

USAGE = "%%stemma [--uri URI] [--ref REF] [--frame pandas|polars|arrow] [NAME]"


def load_ipython_extension(shell: Any) -> None:
    """Makes `%%stemma` known; IPython calls it for `%load_ext stemma`."""
    shell.register_magic_function(_cell(shell), "line_cell", "stemma")


def _cell(shell: Any) -> Any:
    def stemma(line: str, cell: str | None = None) -> Any:
        """Run SQL and return its rows as a frame: the cell's, as of the ref given, kept under the name if there is one."""
        from stemma._default import default
        from stemma._repo import connect

        options, rest = _parse(line)
        if cell is None:
            cell, name = " ".join(rest), None
        else:
            name = rest[0] if rest else None
            if len(rest) > 1 or (name is not None and not name.isidentifier()):
                raise InvalidError(f"{' '.join(rest)!r} is not one name of a variable", hint=USAGE)
        if not cell.strip():
            raise InvalidError("there is no SQL to run", hint=USAGE)
        repo = connect(options["uri"]) if "uri" in options else default()
        frame: Any = repo.sql(cell, ref=options.get("ref"), frame=options.get("frame", "pandas"))  # type: ignore[call-overload]
        if name is not None:
            shell.user_ns[name] = frame
            return None
        return frame

    return stemma


def _parse(line: str) -> tuple[dict[str, str], list[str]]:
    try:
        words = shlex.split(line)
    except ValueError as e:
        raise InvalidError(f"the line of %%stemma cannot be read: {e}", hint=USAGE) from None
    options: dict[str, str] = {}
    rest: list[str] = []
    while words:
        w = words.pop(0)
        if not w.startswith("--"):
            rest.append(w)
            continue
        name, given, value = w[2:].partition("=")
        if name not in {"uri", "ref", "frame"}:
            raise InvalidError(f"%%stemma has no option {w!r}", hint=USAGE)
        if not given:
            if not words:
                raise InvalidError(f"%%stemma: the option {w} has no value", hint=USAGE)
            value = words.pop(0)
        options[name] = value
    return options, rest
