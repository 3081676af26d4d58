"""Fixtures of doltcli, which calls the program by the name dolt and reads what it writes."""

from __future__ import annotations

import os
from pathlib import Path

import doltcli
import pytest
from doltcli import Dolt

from server import binary, environment


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without settings, and the program in the path under the name dolt."""
    commands = tmp_path / "commands"
    commands.mkdir()
    (commands / "dolt").symlink_to(binary())
    settings = environment(tmp_path)
    for name in set(os.environ) - set(settings):
        monkeypatch.delenv(name)
    for name, value in (settings | {"PATH": f"{commands}:{settings['PATH']}"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def empty(home: Path) -> Dolt:
    """A new database."""
    return Dolt.init(str(home / "my-shop"))


@pytest.fixture
def db(empty: Dolt) -> Dolt:
    """A database whose second commit has a table."""
    doltcli.write_columns(empty, "goods", {"id": [1, 2], "name": ["tea", "rye"], "price": [3.5, 1.2]}, primary_key=["id"])
    empty.add("goods")
    empty.commit("first goods")
    return empty
