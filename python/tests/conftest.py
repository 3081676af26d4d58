"""Fixtures: databases of the real program, which has to be built: `make build`, or STEMMA_BINARY."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import stemma

ROOT = Path(__file__).parents[2]
serial = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An environment in which the program finds no settings but its own defaults."""
    for name in [n for n in os.environ if n.startswith(("STEMMA_", "DOLT_", "XDG_")) and n != "STEMMA_BINARY"]:
        del os.environ[name]
    os.environ["HOME"] = str(tmp_path_factory.mktemp("home"))
    os.environ["STEMMA_AUTHOR_NAME"], os.environ["STEMMA_AUTHOR_EMAIL"] = "Ada Lovelace", "ada@example.org"
    os.environ["STEMMA_PROGRESS"] = "0"
    os.environ.setdefault("STEMMA_BINARY", str(ROOT / "bin" / "stemma"))


@pytest.fixture(scope="session")
def shared(environment: None, tmp_path_factory: pytest.TempPathFactory) -> stemma.Repo:
    """One database for all tests that only need tables of their own."""
    with stemma.connect(tmp_path_factory.mktemp("shared") / "db", create=True) as repo:
        yield repo


@pytest.fixture
def interrupted() -> Iterator[threading.Event]:
    """Interrupts the test as Ctrl-C does after half a second, and again until the event is set: a signal may come just before a wait."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a script ignores it
    over = threading.Event()
    main = threading.get_ident()

    def interrupt() -> None:
        wait = 0.5
        while not over.wait(wait):
            signal.pthread_kill(main, signal.SIGINT)
            wait = 3.0

    thread = threading.Thread(target=interrupt)
    thread.start()
    yield over
    over.set()
    thread.join()
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def table() -> str:
    """The name of a table that is not there yet."""
    return f"t{next(serial)}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory of a new database, without an owner."""
    stemma.connect(tmp_path / "shop", create=True).close()
    return tmp_path / "shop"


@pytest.fixture
def repo(directory: Path) -> stemma.Repo:
    """A new database of the test's own."""
    with stemma.connect(directory) as repo:
        yield repo
    shutil.rmtree(directory, ignore_errors=True)
