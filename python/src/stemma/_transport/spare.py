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
    node: tuple[int, int]
    since: float = 0.0

    def close(self) -> None:
        """Gives the memory back to the system, but for what others have mapped. Once is enough."""
        file, self.file = self.file, -1
        if file < 0:
            return
        with contextlib.suppress(OSError):
            if node(file) == self.node:  # and not what somebody has opened under a number that was closed behind our back
                os.close(file)
        if self.pid == os.getpid():
            _room.put(None)


_room: queue.SimpleQueue[None] = queue.SimpleQueue()  # an entry for each file that may yet be kept
_given: queue.SimpleQueue[File] = (
    queue.SimpleQueue()
)  # from destructors, which may run anywhere: putting into such a queue is reentrant
_kept: list[File] = []
_lock = threading.Lock()
_thread: threading.Thread | None = None

for _ in range(MOST):
    _room.put(None)


def node(file: int) -> tuple[int, int]:
    """Returns what tells a file from all others."""
    st = os.fstat(file)
    return st.st_dev, st.st_ino


def own(file: int, size: int) -> tuple[int, File | None]:
    """Opens a file of memory once more.

    Returns:
        A descriptor to map the file by, which is to be closed, and what `give` takes when nothing is mapped any more; None when the file is
        not worth it. Then the descriptor is that which was given.

    """
    if fcntl is None or _thread is None or size < SMALLEST:
        return file, None
    try:
        _room.get_nowait()
    except queue.Empty:
        return file, None
    kept = -1
    try:
        # The mapping holds an open file of its own, in this process and in those that it forks: so `_free` sees whether there is one.
        kept = os.open(f"/proc/self/fd/{file}", os.O_RDWR | os.O_CLOEXEC)
        return os.open(f"/proc/self/fd/{file}", os.O_RDWR | os.O_CLOEXEC), File(kept, size, os.getpid(), node(kept))
    except OSError:
        if kept >= 0:
            os.close(kept)
        _room.put(None)
        return file, None


def give(f: File) -> None:
    """Takes a file that this process has no longer mapped. Destructors may call it."""
    if f.pid != os.getpid():
        f.close()
        return
    f.since = time.monotonic()
    _given.put(f)


def back(f: File) -> None:
    """Takes a file that was not used after all, and is no newer for that."""
    _given.put(f)


def take(into: list[File]) -> None:
    """Moves the files that nobody has mapped to a list, whose owner gives them away or closes them."""
    if _thread is None:
        return
    with _lock:
        _collect()
        while _kept:
            f = _kept.pop()
            if _free(f):
                into.append(f)
            else:
                f.close()


def watch() -> None:
    """Begins to close files that nobody wants. To be called where a thread may be started, before files are given."""
    global _thread  # noqa: PLW0603 - one thread a process
    if fcntl is None or _thread is not None:
        return
    with _lock:
        if _thread is None:
            thread = threading.Thread(target=_watch, name="stemma-memory", daemon=True)
            with contextlib.suppress(RuntimeError):  # no more threads can be had: nothing is kept
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
    _kept.sort(key=lambda f: -f.since)
    for f in _kept:
        size += f.size
        if size > LARGEST or now - f.since > LONGEST:
            f.close()
    _kept[:] = [f for f in _kept if f.file >= 0]


def _free(f: File) -> bool:
    """Tells whether no process that was forked from this one has a file mapped: only then can it be leased.

    The lease sees who has opened the file by its name, as a mapping has; not the owner's first descriptor of it, into which nothing is
    written once the read is over.
    """
    try:
        if node(f.file) != f.node:
            return False
        fcntl.fcntl(f.file, fcntl.F_SETSIG, signal.SIGURG)  # not the signal that ends a process, should somebody open it just now
        fcntl.fcntl(f.file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(f.file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


def _after_fork() -> None:
    """Lets go of what is the parent's. A thread of that may have been anywhere."""
    global _room, _given, _kept, _lock, _thread
    theirs, given = _kept, _given
    _room, _given, _kept, _lock, _thread = queue.SimpleQueue(), queue.SimpleQueue(), [], threading.Lock(), None
    for _ in range(MOST):
        _room.put(None)
    for f in theirs:
        f.close()
    with contextlib.suppress(queue.Empty):
        while True:
            given.get_nowait().close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
