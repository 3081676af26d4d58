"""The wheels, installed where nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import stemma

PYTHON = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the tags of the wheels below are Linux's")


def build(where: Path, out: Path, **environment: str) -> Path:
    """Builds a wheel of a package, with a program that is built already."""
    env = os.environ | {"STEMMA_PREBUILT": os.environ["STEMMA_BINARY"]} | environment
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=where,
        env=env,
        check=True,
        capture_output=True,
    )
    (wheel,) = out.glob("*.whl")
    return wheel


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as z:
        return z.namelist()


def test_wheels(tmp_path: Path) -> None:
    pure = build(PYTHON, tmp_path / "pure", STEMMA_PURE="1")
    both = build(PYTHON, tmp_path / "both")
    program = build(PYTHON / "bin", tmp_path / "program")
    v = stemma.__version__
    script = f"data/scripts/{'stemma'}"
    assert pure.name == f"stemma_db-{v}-py3-none-any.whl"
    assert both.name.startswith(f"stemma_db-{v}-py3-none-manylinux")
    assert program.name.startswith(f"stemma_db_bin-{v}-py3-none-manylinux")
    assert not any(script in n for n in names(pure))
    assert any(script in n for n in names(both))
    assert [n for n in names(program) if "dist-info" not in n] == [f"stemma_db_bin-{v}.{script}"]
    assert "stemma/py.typed" in names(pure)
    assert not any("tests" in n for n in names(pure))
    home = tmp_path / "home"
    home.mkdir()
    venv.create(home / "venv", with_pip=True)
    # What the package needs is taken from the environment of the tests.
    site = next((home / "venv" / "lib").glob("python*")) / "site-packages"
    (site / "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    env = {"HOME": str(home), "PATH": f"{home}/venv/bin:/usr/bin:/bin"}
    for wheels in ([pure, program], [both]):
        python = home / "venv" / "bin" / "python"
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", *wheels],
            env=env,
            check=True,
        )
        assert (
            "stemma version"
            in subprocess.run(["stemma", "version"], env=env, cwd=home, capture_output=True, text=True, check=True).stdout
        )
        code = (
            "import stemma\nassert stemma.__file__.startswith('" + str(site) + "'), stemma.__file__\n"
            "with stemma.connect('db', create=True, author='A <a@b>') as repo:\n"
            "    repo.write({'id': [1]}, 't', primary_key='id', message='one')\n"
            "    print(len(repo.log()), repo.read_arrow('t').num_rows)\n"
        )
        done = subprocess.run([python, "-c", code], env=env, cwd=home, capture_output=True, text=True, check=False)
        assert done.stdout == "2 1\n", done.stderr
        shutil.rmtree(home / "db")
        subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "stemma-db", "stemma-db-bin"], env=env, check=True)
        assert not (home / "venv" / "bin" / "stemma").exists()
