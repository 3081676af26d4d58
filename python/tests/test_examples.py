"""The examples and the README do what they say; the seed's notebook runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

import stemma

PYTHON = Path(__file__).parents[1]


def run(*arguments: object) -> str:
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def client_data(repo: stemma.Repo) -> tuple[str, str]:
    """Two commits of client_data and labelled_data, as the seed has them; their hashes."""
    repo.write({"id": [1, 2, 3], "y": [0.0, 1.0, 1.0]}, "client_data", primary_key="id", message="from Postgres")
    repo.write({"id": [7], "y": [1.0]}, "labelled_data", primary_key="id", message="labels")
    first = repo.log(number=1)[0].commit_hash
    repo.write({"id": [1, 2, 3], "y": [9.0, 9.0, 9.0]}, "client_data", message="the client changed it")
    return first, repo.log(number=1)[0].commit_hash


def test_training(repo: stemma.Repo, client_data: tuple[str, str], tmp_path: Path) -> None:
    first, second = client_data
    config = tmp_path / "config.yaml"
    config.write_text(f"train:\n- client_data@{first}\n- labelled_data@{second}\ntest:\n- client_data@{second}\n")
    assert run(PYTHON / "examples" / "training.py", repo.uri, config) == (
        "train: 4 rows of 2 tables, mean of y 0.750\ntest: 3 rows of 1 tables, mean of y 9.000\n"
    )


def test_workers(repo: stemma.Repo) -> None:
    repo.write({"id": list(range(40_000))}, "t", primary_key="id", message="t")
    assert run(PYTHON / "examples" / "workers.py", repo.uri, "t") == "40000 rows in 4 parts\n"


def test_readme(repo: stemma.Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.write({"code": ["a"], "n": [1]}, "prices", primary_key="code", message="first")
    monkeypatch.setenv("STEMMA_URI", repo.uri)
    text = (PYTHON / "README.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert code
    for block in code:
        exec(block.replace('"path/to/database"', repr(repo.uri)), {})


def execute(name: str, first: str) -> list[str]:
    """Runs a notebook of the examples in a kernel, with another first cell; what its cells of code gave: HTML where there is any, or text."""
    book = nbformat.read(PYTHON / "examples" / name, as_version=4)
    book.cells[0].source = first
    nbclient.NotebookClient(book, timeout=60, kernel_name="python3").execute()
    return [
        "".join(o.get("data", {}).get("text/html") or o.get("data", {}).get("text/plain") or o.get("text", "") for o in c.outputs)
        for c in book.cells
        if c.cell_type == "code"
    ]


notebook = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@notebook
def test_notebook_of_the_training_config(repo: stemma.Repo, client_data: tuple[str, str]) -> None:
    first, _ = client_data
    said = execute("training.ipynb", f"uri, sha = {repo.uri!r}, {first!r}")
    assert said[-2].strip() == "0.75"
    assert "<td>3" in said[-1]


@notebook
def test_notebook_of_experiments(tmp_path: Path) -> None:
    _, _, log, diff, _, changes, refs, there, merged = execute("experiments.ipynb", f"directory = {str(tmp_path / 'db')!r}")
    assert log.startswith("<table")
    assert "run with test_data_ratio 0.4" in log
    assert diff.startswith("<table")
    assert "sepal_width" in diff
    assert "setosa" in diff
    assert changes == "[['added', 2]]"
    counts = dict(re.findall(r"'([^']*)': (\d+)", refs))
    assert sorted(counts.values()) == ["2", "4", "6"]
    assert (counts["main"], counts["new"]) == ("4", "6")
    assert "<td>6" in there
    assert merged == "6"


@notebook
def test_notebook_of_a_backtest(tmp_path: Path) -> None:
    _, _, log, now, then, _, codes, made, diff = execute("backtest.ipynb", f"directory = {str(tmp_path / 'db')!r}")
    assert "Added hospital WellSpan York" in log
    assert now.count("<tr") == 4
    assert "499995500010.125" in now.replace(",", "") or "4.9999" in now
    assert then.startswith("[800.0")
    assert codes.startswith("['0001A'")
    assert re.search(r"prices.*[0-9a-v]{52}", made)
    assert diff.count("<tr") >= 3
