"""Fixtures: servers of the built program, and projects of Kedro on them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from project import OWN, PIPELINE, PLAIN, Project, Server, binary, served


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An environment in which the program and Kedro find no settings but their own defaults, and nobody is told of the tests."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a script ignores it, and so do its children
    for name in [n for n in os.environ if n.startswith(("STEMMA_", "DOLT_", "XDG_", "KEDRO_")) and n != "STEMMA_BINARY"]:
        del os.environ[name]
    os.environ.update(
        HOME=str(tmp_path_factory.mktemp("home")),
        DO_NOT_TRACK="1",
        GIT_CONFIG_NOSYSTEM="1",
        STEMMA_AUTHOR_NAME="Lim Hoang",
        STEMMA_AUTHOR_EMAIL="limdauto@gmail.com",
        STEMMA_PROGRESS="0",
        STEMMA_BINARY=binary(),
        KEDRO_LOGGING_CONFIG=str(Path(__file__).parent / "logging.yml"),
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A database that the tests of a module share, each with tables and branches of its own."""
    with served(tmp_path_factory.mktemp("server") / "kedro-dolt-demo") as s:
        yield s


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A database of the test's own."""
    with served(tmp_path / "kedro-dolt-demo") as s:
        yield s


@pytest.fixture
def project(tmp_path: Path, own: Server) -> Iterator[Project]:
    """A project on a database of the test's own."""
    before = list(sys.path)
    yield Project(tmp_path / "shop", own)
    sys.path[:] = before


@pytest.fixture(params=[PLAIN, OWN], ids=["plain", "own"])
def shop(project: Project, request: pytest.FixtureRequest) -> Project:
    """A project with a pipeline of two nodes, on the datasets of kedro-datasets and on ours."""
    project.catalog(request.param)
    project.pipeline(PIPELINE)
    return project


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write what examples print to their output.txt")
