"""In notebooks: a kernel of Jupyter runs the cells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import nbclient
import nbformat
import pytest

import stemma

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def prices(repo: stemma.Repo) -> stemma.Repo:
    """A database with the table prices in two commits, the first tagged v1."""
    repo.write({"code": ["a", "b"], "n": [1, 2]}, "prices", primary_key="code", message="first")
    repo.tag("v1")
    repo.write({"code": ["a", "b"], "n": [1, 5]}, "prices", message="second")
    return repo


def run(repo: stemma.Repo, *cells: str) -> list[Any]:
    """Runs cells in a kernel and returns what each gave: text, HTML, or what it was stopped by."""
    head = f"import os; os.environ['STEMMA_URI'] = {repo.uri!r}\n%load_ext stemma\nimport stemma; repo = stemma.connect()"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in (head, *cells)])
    nbclient.NotebookClient(book, timeout=60, kernel_name="python3", allow_errors=True).execute()
    out: list[Any] = []
    for cell in book.cells[1:]:
        said = [
            o.get("data", {}).get("text/html") or o.get("data", {}).get("text/plain") or o.get("ename") or o.get("text", "")
            for o in cell.outputs
        ]
        out.append("".join(said))
    return out


def test_cells(prices: stemma.Repo) -> None:
    at_ref, kept, line, html, log, wrong, loop = run(
        prices,
        "%%stemma --ref v1\nselect sum(n) total from prices",
        "%%stemma --frame arrow kept\nselect n from prices order by code",
        "top = %stemma select max(n) m from prices\nkept.column('n').to_pylist() + top.m.tolist()",
        "repo",
        "repo.log()",
        "%%stemma --rev v1\nselect 1",
        "import asyncio\nawait asyncio.sleep(0)\nrepo.read_pandas('prices', 'v1').n.tolist()",
    )
    assert "<td>3.0</td>" in at_ref or "<td>3</td>" in at_ref
    assert kept == ""
    assert "[1, 5, 5]" in line
    assert "prices" in html
    assert "branch main" in html
    assert "second" in log
    assert log.startswith("<table")
    assert wrong == "InvalidError"
    assert loop == "[1, 2]"


@pytest.fixture
def kernel() -> Iterator[Any]:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel()
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_an_interrupted_cell(prices: stemma.Repo, kernel: Any) -> None:
    manager, client = kernel
    client.execute_interactive(f"import stemma; repo = stemma.connect({prices.uri!r})", timeout=60)
    client.execute("repo.sql('select sleep(30)')")
    time.sleep(1)
    began = time.monotonic()
    manager.interrupt_kernel()
    assert client.get_shell_msg(timeout=20)["content"]["ename"] == "KeyboardInterrupt"
    text: list[str] = []
    reply = client.execute_interactive(
        "print(repo.read_pandas('prices').n.tolist())",
        timeout=60,
        output_hook=lambda m: text.append(str(m["content"].get("text", ""))),
    )
    assert reply["content"]["status"] == "ok"
    assert "[1, 5]" in "".join(text)
    assert time.monotonic() - began < 20


def test_progress(prices: stemma.Repo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from stemma import _progress

    monkeypatch.setattr(_progress, "DELAY", -1.0)
    monkeypatch.setattr(_progress, "EVERY", -1.0)
    stemma.show_progress(True)
    try:
        prices.read_arrow("prices")
        said = capsys.readouterr().err
        assert "read prices" in said
        assert "100% of 2 rows" in said
        assert said.endswith("\r\x1b[K")
        prices.write({"code": ["a"], "n": [1]}, "prices", mode="upsert")
        assert "write prices" in capsys.readouterr().err
        stemma.show_progress(False)
        prices.read_arrow("prices")
        assert capsys.readouterr().err == ""
    finally:
        stemma.show_progress(None)
