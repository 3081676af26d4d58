"""The process that owns a directory: where it answers, and starting it when there is none."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from stemma._address import database_directory
from stemma._errors import DeniedError, LockedError, NotFoundError, UnavailableError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 100
"""The longest path that every system takes for a socket."""

ERROR_CLASS = "STEMMA_ERROR_CLASS"
"""The variable of the environment that makes the program end an error with a line `class: …`: several classes share an exit code."""

START = 60.0
"""Seconds that starting an owner may take."""


def program() -> str:
    """Returns the path of the program stemma: STEMMA_BINARY, the one installed beside Python, or the one on PATH."""
    name = "stemma.exe" if os.name == "nt" else "stemma"
    if given := os.environ.get("STEMMA_BINARY"):
        if not Path(given).is_file():
            raise UnavailableError(f"the program that STEMMA_BINARY names does not exist: {given}")
        return given
    for directory in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent)):
        candidate = Path(directory) / name
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    if found := shutil.which(name):
        return found
    raise UnavailableError(
        "the program stemma was not found",
        hint="install it with 'pip install stemma-db-bin', put it on PATH, or name it in STEMMA_BINARY",
    )


def socket_path(directory: str) -> str:
    """Returns the path of the socket on which the owner of a database's directory answers."""
    inside = database_directory(Path(directory))
    if inside is None:
        if not Path(directory).exists():
            raise NotFoundError(f"there is no directory {directory}")
        raise NotFoundError(
            f"{directory} is not a stemma database", hint="make one with 'stemma init' or stemma.connect(path, create=True)"
        )
    path = inside / "sock"
    if len(os.fsencode(path)) <= LONGEST:
        return str(path)
    digest = _base32hex(hashlib.sha256(os.fsencode(inside)).digest())[:32]
    return str(Path(os.environ.get("TMPDIR") or "/tmp") / f"stemma-{digest}.sock")  # noqa: S108 - as the program does it


def connect(directory: str) -> socket.socket:
    """Returns a connection to the owner of a directory, which is started when there is none."""
    path = socket_path(directory)
    if not hasattr(socket, "AF_UNIX"):
        raise UnsupportedError(
            "Python has no unix sockets on this system, by which the owner of a directory is reached",
            hint="start a server with 'stemma serve' in the directory and connect to stemma://localhost:8815",
        )
    for attempt in range(5):
        try:
            return _dial(path, directory)
        except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
            if attempt == 4:
                break
            start(directory)
        except PermissionError:
            raise DeniedError(f"the database in {directory} belongs to another user") from None
    raise LockedError(
        f"the process that owns {directory} does not answer", hint="try again, or end the process that holds the directory"
    )


def start(directory: str) -> None:
    """Starts the owner of a directory, or finds that another process has; it ends by itself some seconds after its last client."""
    run(["serve", "--private", directory], f"the owner of {directory} could not be started", START)


def perform(verb: str, arguments: Mapping[str, Any], directory: str | None = None) -> dict[str, Any]:
    """Has a process of its own carry out a verb that needs no database, or one in a directory that nobody may have open, and returns the answer."""
    import json

    where = [] if directory is None else ["-C", directory]
    wire: dict[str, Any] = json.loads(run(["-q", *where, "perform", verb, json.dumps(dict(arguments))], "", None))
    return wire


def run(arguments: list[str], failed: str, timeout: float | None, cwd: str | None = None) -> str:
    """Runs the program and returns its answer; an error says why it failed, as the program does, behind what could not be done."""
    # Files and no pipes: the process that stays behind may have them open.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            done = subprocess.run(
                [program(), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=timeout,
                cwd=cwd,
                check=False,
                env={**os.environ, ERROR_CLASS: "1"},
            )
        except subprocess.TimeoutExpired:
            raise LockedError(f"{failed}: it did not answer for {timeout:.0f} s") from None
        except OSError as e:
            raise UnavailableError(f"{_before(failed)}{program()}: {e.strerror}") from None
        said, answer = _text(err, 1 << 16), _text(out)
    if done.returncode:
        from stemma._errors import CLASSES

        *lines, last = said.splitlines() or [""]
        name = last.removeprefix("class: ") if last.startswith("class: ") else None
        if name is None:
            lines.append(last)
        hints = [line.removeprefix("hint:").strip() for line in lines if line.startswith("hint:")]
        told = " ".join(line.removeprefix("error: ") for line in lines if not line.startswith("hint:")).strip()
        raise CLASSES.get(name or "", UnavailableError)(
            f"{_before(failed)}{told or f'exit code {done.returncode}'}", hint=" ".join(hints) or None
        )
    return answer


def _before(failed: str) -> str:
    return f"{failed}: " if failed else ""


def _text(file: IO[bytes], most: int = -1) -> str:
    file.seek(0)
    return file.read(most).decode("utf-8", "replace").strip()


def _dial(path: str, directory: str) -> socket.socket:
    # In a directory that is open to all, somebody else may have made a socket of that name.
    if Path(path).lstat().st_uid not in {os.getuid(), Path(directory).stat().st_uid}:
        raise DeniedError(f"the socket {path} of {directory} was made by another user", hint="remove it, or ask who did")
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        s.connect(path)
    except BaseException:
        s.close()
        raise
    return s


def _base32hex(data: bytes) -> str:
    import base64

    return base64.b32hexencode(data).decode("ascii").rstrip("=").lower()
