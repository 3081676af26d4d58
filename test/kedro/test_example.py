"""examples/kedro-iris prints what the announcement of 2021 prints, from real runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from project import ROOT, binary

EXAMPLE = ROOT / "examples" / "kedro-iris"


def masked(text: str) -> str:
    """The output with what differs from run to run put aside, in place of which stands its kind."""
    for pattern, kind in (
        (r"\b\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z", "<run id>             "),
        (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", "<time>"),
        (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3} +\d+ \d\d:\d\d:\d\d \+\d{4} \d{4}", "<date>"),
        (r"localhost:\d+", "localhost:<port>"),
        (r"(commit |\| )(?=[0-9a-v]*\d)[0-9a-v]{32}\b", r"\1<commit>                        "),
    ):
        text = re.sub(pattern, kind, text)
    return text


def test_example(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    compat = tmp_path / "bin"
    compat.mkdir()
    for name in ("stemma", "dolt"):
        (compat / name).symlink_to(binary())
    done = subprocess.run(
        [EXAMPLE / "run.sh", tmp_path / "work"],
        env=os.environ | {"PATH": f"{compat}:{os.environ['PATH']}", "PYTHON": sys.executable},
        capture_output=True, text=True, timeout=170, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    golden = EXAMPLE / "output.txt"
    if request.config.getoption("--rewrite"):
        golden.write_text(masked(done.stdout))
    assert masked(done.stdout) == golden.read_text()
