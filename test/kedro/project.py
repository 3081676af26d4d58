"""Projects of Kedro on databases of the real program."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql

ROOT = Path(__file__).parents[2]


def binary() -> str:
    """The program: the one in STEMMA, or what `make build` builds."""
    path = Path(os.environ.get("STEMMA", ROOT / "bin" / "stemma")).absolute()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: run make build first")
    return str(path)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A database with a server of it, for MySQL's protocol and Arrow's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.flight = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def database(self) -> str:
        return self.directory.name.replace("-", "_")

    @property
    def url(self) -> str:
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{self.database}"

    @property
    def uri(self) -> str:
        return f"stemma://127.0.0.1:{self.flight}/{self.database}"

    def start(self) -> Server:
        log = self.directory.parent / "server.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [binary(), "sql-server", "--port", str(self.port), "--flight-port", str(self.flight)],
                cwd=self.directory, stdout=out, stderr=out,
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            assert self.process.poll() is None, log.read_text()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.flight), 1).close()
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            time.sleep(0.02)
        raise AssertionError("the server does not answer")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(30) == 0

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def processor(self) -> float:
        """The seconds for which the server has kept processors busy since it was started."""
        assert self.process is not None
        if threads := list(Path("/proc").glob(f"{self.process.pid}/task/*/schedstat")):
            return sum(int(t.read_text().split()[0]) for t in threads) / 1e9
        said = subprocess.run(["ps", "-o", "time=", "-p", str(self.process.pid)], capture_output=True, text=True, check=True).stdout
        minutes, _, seconds = said.strip().rpartition(":")
        return int(minutes) * 60 + float(seconds)

    def query(self, sql: str, *params: Any, branch: str | None = None) -> list[tuple[Any, ...]]:
        name = self.database if branch is None else f"{self.database}/{branch}"
        with pymysql.connect(host="127.0.0.1", port=self.port, user="root", database=name, autocommit=True) as c, c.cursor() as cur:
            cur.execute(sql, params or None)
            return list(cur.fetchall())

    def branches(self) -> list[str]:
        return [n for (n,) in self.query("select name from dolt_branches order by name")]

    def messages(self, ref: str = "main") -> list[str]:
        """The messages of a ref's commits, the newest first, without the first commit's."""
        return [m for (m,) in self.query("select message from dolt_log(%s)", ref)][:-1]

    def head(self, ref: str = "main") -> str:
        return self.query("select hashof(%s)", ref)[0][0]


SETTINGS = """
from stemma.kedro import StemmaHooks

HOOKS = (StemmaHooks(database="{database}"),)
"""

PLAIN = """
a: {type: pandas.SQLTableDataset, table_name: a, credentials: sql, save_args: {if_exists: replace}}
b: {type: pandas.SQLTableDataset, table_name: b, credentials: sql, save_args: {if_exists: replace}}
"""

OWN = """
a: {type: stemma.kedro.TableDataset, table: a, credentials: stemma, primary_key: [id]}
b: {type: stemma.kedro.TableDataset, table: b, credentials: stemma, primary_key: id}
"""

PIPELINE = """
import time


def first(n):
    return pd.DataFrame({"id": [1, 2, 3], "v": [n, n + 1, n + 2]})


def second(a, n):
    assert a["v"].tolist() == [n, n + 1, n + 2], a
    return a.assign(v=a["v"] * 10)


def fail(b):
    raise RuntimeError("no luck")


def register_pipelines():
    good = pipeline([node(first, "params:n", "a", name="first"), node(second, ["a", "params:n"], "b", name="second")])
    return {"__default__": good, "bad": good + pipeline([node(fail, "b", None, name="fail")])}
"""


class Project:
    """A project of Kedro whose pipelines and catalog a test writes."""

    def __init__(self, directory: Path, server: Server, settings: str | None = SETTINGS) -> None:
        self.directory = directory
        self.server = server
        package = f"project_{directory.name.replace('-', '_')}_{time.monotonic_ns()}"
        self.package = package
        for d in ("conf/base", "conf/local", f"src/{package}"):
            (directory / d).mkdir(parents=True)
        self.write(
            "pyproject.toml",
            f"""
            [project]
            name = "{package}"
            version = "1"
            [tool.kedro]
            package_name = "{package}"
            project_name = "{directory.name}"
            kedro_init_version = "1.7.0"
            """,
        )
        self.write(f"src/{package}/__init__.py", "")
        self.write(f"src/{package}/settings.py", (settings or "").format(database=server.database))
        self.write("conf/local/credentials.yml", f"stemma: {{uri: '{server.uri}'}}\nsql: {{con: '{server.url}'}}\n")
        self.write("conf/base/parameters.yml", "n: 1\n")

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(textwrap.dedent(text))

    def catalog(self, text: str) -> None:
        self.write("conf/base/catalog.yml", text)

    def pipeline(self, text: str) -> None:
        """Writes the registry of pipelines; `node` and `pipeline` are imported, and pandas as pd."""
        head = "import pandas as pd\nfrom kedro.pipeline import node, pipeline\n\n"
        self.write(f"src/{self.package}/pipeline_registry.py", head + textwrap.dedent(text))

    def run(self, runner: Any = None, pipelines: list[str] | None = None, **params: Any) -> str:
        """Runs the pipeline in this process and returns the run's id."""
        from kedro.framework.session import KedroSession
        from kedro.framework.startup import bootstrap_project

        self._forget()
        bootstrap_project(self.directory)
        with KedroSession.create(self.directory, runtime_params=params, save_on_close=False) as session:
            session.run(runner=runner, pipeline_names=pipelines)
            return session.session_id

    def kedro(self, *args: str, fails: bool = False) -> str:
        """Runs the command kedro in this process, which saves importing Kedro anew, and returns what it printed."""
        from click.testing import CliRunner
        from kedro.framework.cli.cli import KedroCLI

        self._forget()
        with contextlib.chdir(self.directory):
            done = CliRunner(env={"COLUMNS": "300"}).invoke(KedroCLI(project_path=self.directory), args)
        assert (done.exit_code != 0) == fails, done.output
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        return done.output

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Starts the command kedro in a process of its own."""
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "kedro"), *args],
            cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"COLUMNS": "300"},
        )

    def _forget(self) -> None:
        """What an earlier run imported may have been written anew."""
        for name in [m for m in sys.modules if m.partition(".")[0] == self.package]:
            del sys.modules[name]


@contextlib.contextmanager
def served(directory: Path) -> Iterator[Server]:
    """A new database in a directory, and a server of it."""
    directory.mkdir(parents=True)
    subprocess.run([binary(), "init"], cwd=directory, check=True, capture_output=True)
    server = Server(directory).start()
    yield server
    server.stop()
