"""Every row of docs/from-2021.md that is about Metaflow."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from conftest import HOSPITAL, ROOT

ROWS: dict[str, list[str]] = {}
for _line in (ROOT / "docs" / "from-2021.md").read_text().splitlines():
    if re.match(r"\| C\d", _line):
        _name, *_cells = [c.strip() for c in _line.strip("|").split(" | ")]
        ROWS[_name.strip("| ")] = [c.strip("| ") for c in _cells]

TESTED_BY_RUNNING = {"C13", "C30", "C31", "C32", "C33"}
"""test_hospital.py and test_example.py run these."""

PRICES = pd.DataFrame({"state": ["NY", "NY", "CA"], "code": ["a", "a", "a"], "payer": ["Cigna", "Aetna", "Cigna"], "price": [1.0, 3.0, 5.0]})


def code(cell: str) -> str:
    return cell.strip("`")


def test_every_row_is_known() -> None:
    assert set(ROWS) == TESTED_BY_RUNNING | {"C9", "C25", "C25-median"}


def test_packages() -> None:
    """What the row says to install are distributions of this tree, with the extra that it names."""
    import tomllib

    wanted = re.findall(r"([\w-]+)(?:\[(\w+)\])?", code(ROWS["C9"][1]).removeprefix("pip install "))
    known = {p["name"]: p for d in ("python", "python/dolt-compat") if (p := tomllib.loads((ROOT / d / "pyproject.toml").read_text())["project"])}
    assert [name for name, _ in wanted] == ["stemma-db", "stemma-dolt-compat"]
    for name, extra in wanted:
        assert extra == "" or extra in known[name]["optional-dependencies"]


def test_variance() -> None:
    printed, today, why = ROWS["C25"]
    clean = PRICES.drop(columns="payer")
    with pytest.raises((TypeError, ValueError), match=re.escape(code(why.split("`")[-2]))):
        eval(code(printed))
    assert eval(code(today))["price"].tolist() == [4.0]
    source = (HOSPITAL / "hospital_procedure_price_variance_by_state.py").read_text()
    assert code(today).removeprefix("clean") in source


def test_median() -> None:
    printed, today, why = ROWS["C25-median"]
    prices_by_state = PRICES
    assert prices_by_state is not None
    with pytest.raises((TypeError, ValueError), match=re.escape(code(why.split("`")[-2]))):
        eval(code(printed))
    assert eval(code(today))["price"].tolist() == [5.0, 2.0]
    assert code(today) in (HOSPITAL / "hospital_procedure_price_state_medians.py").read_text()
