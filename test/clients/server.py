"""The program under test: running its commands, and a server of it that is started, killed and ended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pymysql

ROOT = Path(__file__).parents[2]


def binary() -> Path:
    """The program: the one in STEMMA, or what `make build` builds."""
    path = Path(os.environ.get("STEMMA", ROOT / "bin" / "stemma")).absolute()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: run make build first")
    return path


def environment(home: Path) -> dict[str, str]:
    """An environment in which the program finds no settings but its own defaults."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("STEMMA", "DOLT", "XDG", "MYSQL"))}
    return kept | {
        "HOME": str(home), "TZ": "UTC", "STEMMA_AUTHOR_NAME": "Ada Lovelace", "STEMMA_AUTHOR_EMAIL": "ada@example.org",
    }


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(cwd: Path, *args: str, program: str | Path | None = None, stdin: str | None = None, fails: bool = False) -> str:
    """Runs a command of the program and returns its output; of one that fails as expected, what it said about that."""
    done = subprocess.run(
        [program or binary(), *args], cwd=cwd, input=stdin, capture_output=True, text=True, timeout=60, env=environment(cwd.parent)
    )
    assert (done.returncode != 0) == fails, f"{args} exited with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stderr if fails else done.stdout


class Server:
    """stemma sql-server on a free port, for the database or the databases in a directory."""

    def __init__(self, directory: Path, *flags: str) -> None:
        self.directory = directory
        self.flags = flags
        self.port = free_port()
        self.log = directory.parent / f"{directory.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [binary(), "sql-server", "--port", str(self.port), *self.flags],
                cwd=self.directory, stdout=log, stderr=log, env=environment(self.directory.parent),
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log.read_text()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self
        raise AssertionError("the server does not answer")

    def kill(self) -> None:
        """Ends the process as a power cut would end it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> None:
        """Ends the server as an administrator does; it has to go in good time and without an error."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(30) == 0, self.log.read_text()

    def connect(self, database: str | None = None, **options: object) -> pymysql.Connection:
        """A connection of pymysql as root, autocommit on and without TLS, unless other options are given."""
        settings = {"host": "127.0.0.1", "port": self.port, "user": "root", "database": database, "autocommit": True}
        if not any(o.startswith("ssl") for o in options):
            settings["ssl_disabled"] = True
        return pymysql.connect(**(settings | options))

    def query(self, sql: str, database: str | None = None) -> list[tuple]:
        with self.connect(database) as c, c.cursor() as cur:
            cur.execute(sql)
            return list(cur.fetchall())


def mysql_client() -> str | None:
    """The command-line client of MySQL or of MariaDB, whichever is installed."""
    return shutil.which("mysql") or shutil.which("mariadb")
