"""Progress of long reads and writes, in terminals and notebooks.

It is shown on standard error when that is a terminal, and in a notebook's cell; work that takes less than a second shows nothing.
STEMMA_PROGRESS=0 or `stemma.show_progress(False)` silences it, STEMMA_PROGRESS=1 shows it anywhere.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

DELAY = 1.0
"""Seconds before progress is shown."""
EVERY = 0.1
"""Seconds between two drawings."""

_wanted: bool | None = None


def show_progress(on: bool | None) -> None:
    """Shows progress always (True), never (False), or where somebody sees it (None)."""
    global _wanted  # noqa: PLW0603
    _wanted = on


def progress(title: str, total: int) -> Progress:
    """Returns the progress of a piece of work of so many rows; -1 is not known."""
    return Progress(title, total)


class Progress:
    """Progress of one piece of work."""

    def __init__(self, title: str, total: int) -> None:
        self.title = title
        self.total = total
        self.done = 0
        self.shown = _visible()
        self._began = self._last = time.monotonic()
        self._drawn = False
        self._cell: Any = None

    def __enter__(self) -> Self:
        return self

    def add(self, rows: int) -> None:
        """Counts rows that are done."""
        self.done += rows
        if not self.shown:
            return
        now = time.monotonic()
        if now - self._began > DELAY and now - self._last > EVERY:
            self._last = now
            self._draw(self._text(now))

    def _text(self, now: float) -> str:
        rate = f"{self.done / max(now - self._began, 1e-9):,.0f} rows/s"
        if self.total <= 0:
            return f"{self.title}: {self.done:,} rows, {rate}"
        share = min(self.done / self.total, 1.0)
        full = int(share * 24)
        return f"{self.title}: {'█' * full}{'░' * (24 - full)} {share:4.0%} of {self.total:,} rows, {rate}"

    def _draw(self, text: str) -> None:
        self._drawn = True
        if _notebook():
            from IPython.display import display

            bundle = {"text/plain": text}
            if self._cell is None:
                self._cell = display(bundle, raw=True, display_id=True)
            else:
                self._cell.update(bundle, raw=True)
            return
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._drawn:
            return
        if self._cell is not None:
            self._cell.update({"text/plain": self._text(time.monotonic())}, raw=True)
        else:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _visible() -> bool:
    if _wanted is not None:
        return _wanted
    env = os.environ.get("STEMMA_PROGRESS")
    if env is not None and env != "":
        return env not in {"0", "false", "no"}
    return _notebook() or (sys.stderr is not None and sys.stderr.isatty())


def _notebook() -> bool:
    """Tells whether we run in a kernel; IPython is not imported to find out."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None
    return shell is not None and hasattr(shell, "kernel")
