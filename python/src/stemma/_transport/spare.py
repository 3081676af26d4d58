"""Files of memory whose columns are gone, kept for a moment for the next read: the system need not find and clear memory for that again."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from dataclasses import dataclass

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SMALLEST = 4 << 20
"""Bytes that a file must have to be worth it."""

MOST = 48
"""How many files have a descriptor that is kept, those of living columns included."""

LARGEST = 1 << 30
"""Bytes of files that are kept without a column."""

LONGEST = 1.0
"""Seconds for which a file is kept without a column."""


@dataclass(slots=True)
class File:
    """A file of memory, by a descriptor of its own."""

    file: int
    size: int
    pid: int
    since: float = 0.0

    def close(self) -> None:
        """Gives the memory back to the system, but for what others have mapped."""
        os.close(self.file)
        _room.put(None)


_room: queue.SimpleQueue[None] = queue.SimpleQueue()  # an entry for each file that may yet be kept
_given: queue.SimpleQueue[File] = queue.SimpleQueue()  # from destructors, which may run anywhere: putting into such a queue is reentrant
_kept: list[File] = []
_lock = threading.Lock()
_thread: threading.Thread | None = None

for _ in range(MOST):
    _room.put(None)


def own(file: int, size: int) -> tuple[int, File | None]:
    """Opens a file of memory once more.

    Returns:
        A descriptor to map the file by, which is to be closed, and what `give` takes when nothing is mapped any more; None when the file is
        not worth it. Then the descriptor is that which was given.

    """
    if fcntl is None or size < SMALLEST:
        return file, None
    try:
        _room.get_nowait()
    except queue.Empty:
        return file, None
    kept = -1
    try:
        # The mapping holds an open file of its own, in this process and in those that it forks: so `_free` sees whether there is one.
        kept = os.open(f"/proc/self/fd/{file}", os.O_RDWR | os.O_CLOEXEC)
        return os.open(f"/proc/self/fd/{file}", os.O_RDWR | os.O_CLOEXEC), File(kept, size, os.getpid())
    except OSError:
        if kept >= 0:
            os.close(kept)
        _room.put(None)
        return file, None


def give(f: File) -> None:
    """Takes a file that this process has no longer mapped. Destructors may call it."""
    if f.pid != os.getpid():
        os.close(f.file)
        return
    f.since = time.monotonic()
    _given.put(f)


def take() -> list[File]:
    """Returns the files that nobody has mapped: the caller gives them away or closes them."""
    if _thread is None:
        return []
    with _lock:
        _collect()
        out = [f for f in _kept if _free(f)]
        for f in _kept:
            if f not in out:
                f.close()
        _kept.clear()
    return out


def back(files: list[File]) -> None:
    """Takes files that were not used after all."""
    for f in files:
        _given.put(f)


def watch() -> None:
    """Begins to close files that nobody wants. To be called where a thread may be started, before files are given."""
    global _thread  # noqa: PLW0603 - one thread a process
    if fcntl is None or _thread is not None:
        return
    with _lock:
        if _thread is None:
            thread = threading.Thread(target=_watch, name="stemma-memory", daemon=True)
            thread.start()
            _thread = thread


def _watch() -> None:
    """Closes files that have been kept for long enough."""
    given = _given
    while given is _given:
        f = given.get()
        with _lock:
            _kept.append(f)
        while _kept:
            time.sleep(LONGEST / 4)
            with _lock:
                _collect()


def _collect() -> None:
    """Takes in what was given, and closes what is too old or too much."""
    while True:
        try:
            _kept.append(_given.get_nowait())
        except queue.Empty:
            break
    now, size = time.monotonic(), 0
    for f in sorted(_kept, key=lambda f: -f.since):
        size += f.size
        if size > LARGEST or now - f.since > LONGEST:
            _kept.remove(f)
            f.close()


def _free(f: File) -> bool:
    """Tells whether nobody else has a file open or mapped, as a process may that was forked from this one: only then can it be leased."""
    try:
        fcntl.fcntl(f.file, fcntl.F_SETSIG, signal.SIGURG)  # not the signal that ends a process, should somebody open it just now
        fcntl.fcntl(f.file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(f.file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


def _after_fork() -> None:
    """Lets go of what is the parent's."""
    global _room, _given, _lock, _thread
    with contextlib.suppress(queue.Empty):
        while True:
            _kept.append(_given.get_nowait())
    for f in _kept:
        os.close(f.file)
    _kept.clear()
    _room, _given, _lock, _thread = queue.SimpleQueue(), queue.SimpleQueue(), threading.Lock(), None
    for _ in range(MOST):
        _room.put(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
