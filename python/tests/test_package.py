"""The package as it is imported."""

from __future__ import annotations

import ast
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import stemma
from stemma._address import parse
from stemma._errors import CLASSES, from_wire

ROOT = Path(__file__).parents[2]


def test_exports() -> None:
    assert sorted(stemma.__all__) == stemma.__all__
    assert all(hasattr(stemma, n) for n in stemma.__all__)
    tree = ast.parse(Path(stemma.__file__).read_text())
    shown = {
        a.name
        for n in ast.walk(tree)
        if isinstance(n, ast.ImportFrom) and n.module and n.module.startswith("stemma.")
        for a in n.names
    }
    assert shown | {"__version__"} == set(stemma.__all__) | {"__version__"}
    with pytest.raises(AttributeError, match="nothing"):
        _ = stemma.nothing


def test_docstrings() -> None:
    for name in stemma.__all__:
        value = getattr(stemma, name)
        assert isinstance(value, str) or value.__doc__, name


def test_import_is_light() -> None:
    heavy = ("pandas", "pyarrow", "polars", "grpc")
    code = f"import sys, time; t = time.process_time(); import stemma; print(time.process_time() - t, *(m for m in {heavy} if m in sys.modules))"
    best = min(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() for _ in range(3)
    )
    assert best[1:] == []
    assert float(best[0]) < 0.15


def test_version_is_the_programs() -> None:
    assert f'version = "{stemma.__version__}"' in (ROOT / "cmd" / "stemma" / "main.go").read_text()


def test_error_codes_are_the_programs() -> None:
    text = (ROOT / "internal" / "errs" / "errs.go").read_text()
    names = text[text.index("var names") : text.index("// Codes lists")]
    assert set(names.split('"')[1::2]) == set(CLASSES)


def test_errors() -> None:
    e = from_wire(
        {
            "code": "not-found",
            "message": "table not found: price",
            "hint": "did you mean prices?",
            "did_you_mean": ["prices"],
            "table": "price",
            "row": 3,
        }
    )
    assert isinstance(e, stemma.NotFoundError)
    assert isinstance(e, LookupError)
    assert (str(e), e.table, e.row, e.did_you_mean) == ("table not found: price (did you mean prices?)", "price", 3, ("prices",))
    again = pickle.loads(pickle.dumps(e))
    assert (type(again), str(again), again.row, again.code) == (type(e), str(e), 3, "not-found")
    newer = from_wire({"code": "out-of-tea", "message": "x"})
    assert isinstance(newer, stemma.InternalError)
    assert newer.code == "out-of-tea"


@pytest.mark.parametrize(
    ("uri", "want"),
    [
        ("stemma://h/db", {"host": "h", "port": 8815, "database": "db", "tls": False}),
        (
            "stemma://u:p%40@h:1/db@v1?branch=b",
            {"user": "u", "password": "p@", "port": 1, "database": "db", "ref": "v1", "branch": "b"},
        ),
        ("grpc+tls://[::1]:2", {"host": "::1", "port": 2, "tls": True, "database": None}),
        ("stemma://h?tls=true&ca=/c.pem", {"tls": True, "ca": "/c.pem"}),
        ("/a/b", {"directory": "/a/b"}),
        ("file:///a%20b", {"directory": "/a b"}),
        ("stemma:///a/b", {"directory": "/a/b"}),
        (Path("/x"), {"directory": "/x"}),
    ],
)
def test_addresses(uri: str, want: dict[str, object]) -> None:
    a = parse(uri)
    assert {k: getattr(a, k) for k in want} == want
    assert "p@" not in str(a)
    assert "p%40" not in str(a)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("", "empty"),
        ("mysql://h/db", "not a scheme.*8815"),
        ("stema://h/db", "did you mean 'stemma'"),
        ("stemma://h:x/db", "cannot be read"),
        ("stemma://h:99999/db", "cannot be read"),
        ("grpc:///db", "names no host"),
        ("stemma://h/a/b", "not the name of a database"),
        ("stemma://h/db?brnch=x", "did you mean 'branch'"),
        ("stemma://h/db?tls=maybe", "not true or false"),
    ],
)
def test_addresses_that_make_no_sense(uri: str, words: str) -> None:
    with pytest.raises(stemma.InvalidError, match=words):
        parse(uri)


def test_no_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEMMA_URI", raising=False)
    with pytest.raises(stemma.NotFoundError, match="STEMMA_URI"):
        stemma.connect()
    (tmp_path / "stemma.yaml").write_text("database: 7\n")
    with pytest.raises(stemma.InvalidError, match="'database' is not a path"):
        stemma.connect()
    (tmp_path / "stemma.yaml").write_text("database: [\n")
    with pytest.raises(stemma.InvalidError, match="cannot be read"):
        stemma.connect()
    (tmp_path / "stemma.yaml").write_text("database: data\n")
    with pytest.raises(stemma.NotFoundError, match=r"no directory .*/data"):
        stemma.connect()
    (tmp_path / "data").mkdir()
    with pytest.raises(stemma.NotFoundError, match="not a stemma database.*create=True"):
        stemma.connect()


def test_nothing_answers() -> None:
    with pytest.raises(stemma.UnavailableError, match=r"nothing answers at 127\.0\.0\.1:1"):
        stemma.connect("stemma://127.0.0.1:1/db")
    with pytest.raises(stemma.UnavailableError, match=r"nothing answers"):
        stemma.connect("stemma://no-such-host.invalid/db")


def test_missing_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".stemma").mkdir()
    monkeypatch.setenv("STEMMA_BINARY", "/no/such/stemma")
    with pytest.raises(stemma.UnavailableError, match="STEMMA_BINARY"):
        stemma.connect(tmp_path)
    monkeypatch.delenv("STEMMA_BINARY")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sysconfig.get_path", lambda _: "/nowhere")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(stemma.UnavailableError, match="pip install stemma-db-bin"):
        stemma.connect(tmp_path)


@pytest.mark.parametrize("code", sorted(CLASSES))
def test_every_code_has_a_page(code: str) -> None:
    said = subprocess.run([os.environ["STEMMA_BINARY"], "help", code], capture_output=True, text=True, check=True).stdout
    assert f"stemma.{CLASSES[code].__name__} in Python" in said
    by_class = subprocess.run(
        [os.environ["STEMMA_BINARY"], "help", CLASSES[code].__name__], capture_output=True, text=True, check=True
    ).stdout
    assert by_class == said


@pytest.mark.parametrize(
    ("library", "call"), [("pandas", "read_pandas('t')"), ("polars", "read_polars('t')"), ("pandas", "sql('select 1')")]
)
def test_a_library_that_is_not_installed(shared: stemma.Repo, library: str, call: str) -> None:
    """The error names what to install, before anything is read."""
    program = f"""
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == {library!r} else find(name, *rest)
import stemma
repo = stemma.connect(sys.argv[1])
try:
    repo.{call}
except stemma.UnsupportedError as e:
    assert e.hint.startswith("pip install 'stemma-db[{library}]'"), e.hint
    assert repo.sql("select 1", frame="arrow").num_rows == 1
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program, shared.uri], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("refused\n", "")
