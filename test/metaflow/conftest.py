"""Fixtures: databases of the built program, and flows that run on them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOWS = Path(__file__).parent / "flows"
HOSPITAL = ROOT / "examples" / "metaflow-hospital"


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An environment in which the program and Metaflow find no settings but their own defaults, and keep what they store in a directory of the tests."""
    for name in [n for n in os.environ if n.startswith(("STEMMA_", "DOLT_", "XDG_", "METAFLOW_")) and n != "STEMMA_BINARY"]:
        del os.environ[name]
    home = tmp_path_factory.mktemp("home")
    program = os.environ.get("STEMMA_BINARY", str(ROOT / "bin" / "stemma"))
    os.environ.update(
        HOME=str(home),
        METAFLOW_HOME=str(home / "metaflow"),
        METAFLOW_DATASTORE_SYSROOT_LOCAL=str(tmp_path_factory.mktemp("runs")),
        METAFLOW_CARD_LOCALROOT=str(tmp_path_factory.mktemp("cards")),
        METAFLOW_USER="oscarbatori",
        STEMMA_AUTHOR_NAME="oscarbatori",
        STEMMA_AUTHOR_EMAIL="oscarbatori@gmail.com",
        STEMMA_PROGRESS="0",
        STEMMA_BINARY=program,
        PATH=os.pathsep.join([str(ROOT / "bin" / "compat"), str(Path(program).parent), os.environ["PATH"]]),
    )


def made(path: Path, *arguments: str) -> str:
    """Makes a database in a new directory and returns its path."""
    path.mkdir(parents=True)
    subprocess.run(["dolt", "init", *arguments], cwd=path, check=True, capture_output=True)
    return str(path)


def dolt(database: str, *arguments: str) -> str:
    """Returns what the program prints under Dolt's name."""
    return subprocess.run(["dolt", *arguments], cwd=database, check=True, capture_output=True, text=True).stdout


def flow(file: Path, *arguments: str, fails: bool = False, verb: str = "run", **environment: str) -> str:
    """Runs a flow and returns what it printed."""
    command = [sys.executable, str(file), "--no-pylint", verb, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    said = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, said
    return said


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A database of the test's own, with a branch main."""
    return made(tmp_path / "analysis", "-b", "main")
