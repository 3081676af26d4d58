"""The version of the code that a run is of, and of what it stands on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from stemma import _owner
from stemma._errors import UnavailableError

__all__ = ["author", "git", "versions"]

PATIENCE = 5.0
"""Seconds to wait for git, which can take long in a large tree."""


def git(project: Path) -> tuple[str | None, bool | None]:
    """Returns the commit of a project's code and whether the code differs from it; None where there is no repository, or git does not say."""
    program = shutil.which("git")
    if program is None or not any((p / ".git").exists() for p in (project, *project.parents)):
        return None, None
    try:
        done = subprocess.run(
            [program, "-C", str(project), "status", "--porcelain=v2", "--branch"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None, None
    if done.returncode:
        return None, None
    sha, dirty = None, False
    for line in done.stdout.splitlines():
        if line.startswith("# branch.oid "):
            sha = line.split()[2]
        elif not line.startswith("#"):
            dirty = True
    return (None, None) if sha in {None, "(initial)"} else (sha, dirty)


@lru_cache(8)
def author(project: Path, database: str) -> str | None:
    """Returns the author of commits as `Name <mail>`.

    It is that of STEMMA_AUTHOR_NAME and STEMMA_AUTHOR_EMAIL, or of the settings of the user and, where database is a directory, of that, or who
    git says works on the project.
    """
    name, mail = os.environ.get("STEMMA_AUTHOR_NAME"), os.environ.get("STEMMA_AUTHOR_EMAIL")
    if not (name and mail):
        known = _settings(database if Path(database).is_dir() else str(project))
        name, mail = name or known.get("user.name"), mail or known.get("user.email")
    program = shutil.which("git")
    if not (name and mail) and program is not None:
        try:
            done = subprocess.run(
                [program, "-C", str(project), "config", "--get-regexp", r"^user\.(name|email)$"],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        known = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
        name, mail = name or known.get("user.name"), mail or known.get("user.email")
    return f"{name} <{mail}>" if name and mail else None


def _settings(directory: str) -> dict[str, str]:
    """Returns what `stemma config` knows in a directory: nothing where there is no program."""
    try:
        done = subprocess.run(
            [_owner.program(), "config", "--list"], cwd=directory, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnavailableError):
        return {}
    pairs = (line.partition(" = ") for line in done.stdout.splitlines())
    return {key: value for key, _, value in pairs}


@lru_cache(1)
def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that frames go through."""
    out = {"python": platform.python_version()}
    for name in ("kedro", "stemma-db", "pandas", "polars", "pyarrow"):
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            continue
    return out
