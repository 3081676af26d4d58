"""examples/metaflow-hospital prints what the announcement of 2021 prints, from real runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import HOSPITAL

FRAME = r" +code +price\n(?:\d+ +\S.*\n)+\.\. +\.\.\. +\.\.\.\n(?:\d+ +\S.*\n)+\n\[\d+ rows x 2 columns\]\n"


@pytest.mark.timeout(600)
def test_example(tmp_path: Path) -> None:
    done = subprocess.run(
        [HOSPITAL / "run.sh", tmp_path / "work"],
        env=os.environ | {"PYTHON": sys.executable, "PRICES": "8000", "HOSPITALS": "140"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    assert "$ dolt init\nSuccessfully initialized dolt data repository." in said
    assert len(re.findall(r"print\(df\)\n\n" + FRAME, said)) == 3
    assert "\n* main \n  metaflow-backtest" in said.replace("main\n", "main \n")
    assert re.search(r"\| commit_hash +\| message +\|\n", said)
    assert re.search(r"\n\tRun: HospitalProcedurePriceVarianceByState/\d+/start/1\n", said)
    variance, medians = re.findall(r"^'(\w+/\d+/start/1)'$", said, re.M)
    assert variance.startswith("HospitalProcedurePriceVarianceByState/")
    assert medians.startswith("HospitalPriceStateMedians/")
    assert said.rstrip().endswith("[8000 rows x 4 columns]")
    assert "nan," not in said.split("== Reproducibility")[1].split("== Lineage")[0].split("print(df)")[1]
