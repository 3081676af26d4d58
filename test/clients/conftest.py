"""Fixtures: a server on a free port, a database of one's own on it, and the clients."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from adapters import ADAPTERS, Adapter
from known import reason
from server import Server, mysql_client, run

serial = itertools.count(1)

NO_CLIENT = "the command-line client is not installed: Debian's package default-mysql-client"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is known not to work yet."""
    for item in items:
        if why := reason(item.nodeid):
            item.add_marker(pytest.mark.xfail(reason=why, strict=True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says once what was left out, and why."""
    if mysql_client() is None:
        terminalreporter.write_line(f"tests were skipped: {NO_CLIENT}")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do not end, kill or configure it."""
    directory = tmp_path_factory.mktemp("shared") / "data"
    directory.mkdir()
    server = Server(directory).start()
    yield server
    server.stop()


@pytest.fixture
def db(shared: Server) -> str:
    """The name of a new, empty database on the shared server."""
    name = f"db{next(serial)}"
    shared.query(f"create database {name}")
    return name


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The directory of a new, empty database."""
    directory = tmp_path / "shop"
    directory.mkdir()
    run(directory, "init")
    return directory


@pytest.fixture
def server(repository: Path) -> Iterator[Server]:
    """A server that is the test's alone, for the database shop."""
    server = Server(repository).start()
    yield server
    server.stop()


@pytest.fixture
def mysql() -> str:
    """The path of the command-line client."""
    path = mysql_client()
    if path is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say(NO_CLIENT)
    return path


@pytest.fixture(params=ADAPTERS, ids=lambda a: a.name)
def client(request: pytest.FixtureRequest, shared: Server, db: str) -> Iterator[Adapter]:
    """Each client in turn, connected to the new database."""
    if request.param.name == "cli":
        request.getfixturevalue("mysql")
    adapter = request.param(shared.port, db)
    yield adapter
    adapter.close()
