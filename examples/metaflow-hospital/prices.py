"""Makes a database of hospital prices: tables hospitals and prices, which grow from commit to commit, as hospitals publish their lists.

    python prices.py PATH [--prices N] [--hospitals N]

Codes and prices are drawn by chance from a seed, so that two databases of one size hold the same rows. Some codes are what careless
publishers make of them, `nan,5` and `CPT® 86708,72`, and some numbers of hospitals read `1053358010.0`.
"""

import argparse

import numpy as np
import pyarrow as pa

import stemma

STATES = "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY".split()
PAYERS = ["Aetna", "Blue Cross", "Cash Price", "Cigna", "Gross Charge", "Humana", "Medicare", "UnitedHealthcare"]
CITIES = ["Springfield", "Franklin", "Clinton", "Madison", "Georgetown", "Salem", "Fairview", "Bristol"]
STEPS = 6


def hospitals(count: int, rng: np.random.Generator) -> pa.Table:
    """Returns hospitals by their number, as text: some of it has passed through a spreadsheet and ends in `.0`."""
    numbers = 1_000_000_000 + rng.choice(999_999_999, count, replace=False)
    npi = [f"{n}.0" if i % 10 == 3 else str(n) for i, n in enumerate(numbers)]
    names = [f"{CITIES[i % len(CITIES)]} {('General', 'Memorial', 'Community')[i % 3]} Hospital {i}" for i in range(count)]
    return pa.table({"npi_number": npi, "name": names, "state": [STATES[i] for i in rng.integers(0, len(STATES), count)]})


def codes(count: int) -> list[str]:
    """Returns procedure codes of the kinds that hospitals publish."""
    out = []
    for i in range(count):
        kind = i % 20
        if kind == 0:
            out.append(f"nan,{i // 20 + 5}")
        elif kind in {1, 2}:
            out.append(f"CPT® {86708 + i // 2000},{i % 2000 + 72}")
        elif kind == 3:
            out.append(f"HCPCS C{1769 + i // 20},{i}")
        elif kind in {4, 5}:
            out.append(f"L{1830 + i // 100}-{i % 100:02d}")
        else:
            out.append(f"{i:05d}")
    return out


def prices(count: int, npi: list[str], rng: np.random.Generator) -> tuple[pa.Table, np.ndarray]:
    """Returns prices of procedures, a row for each combination of hospital, code and payer that was drawn, and the place of each one's hospital."""
    kinds = codes(max(400, min(count // 20, 1_200_000)))
    wanted = int(count * 1.3) + 10
    hospital = rng.integers(0, len(npi), wanted)
    code = (len(kinds) * rng.random(wanted) ** 3).astype(np.int64)  # some are everywhere, many in one hospital only
    cell = (hospital * len(kinds) + code) * len(PAYERS) + rng.integers(0, len(PAYERS), wanted)
    drawn = np.sort(rng.permutation(np.unique(cell))[:count])
    hospital, rest = np.divmod(drawn, len(kinds) * len(PAYERS))
    code, payer = np.divmod(rest, len(PAYERS))
    price = np.round(np.exp(rng.normal(6, 2, len(drawn))), 2)
    take = lambda values, at: pa.DictionaryArray.from_arrays(pa.array(at.astype(np.int32)), pa.array(values)).cast(pa.string())  # noqa: E731
    return pa.table({"npi_number": take(npi, hospital), "code": take(kinds, code), "payer": take(PAYERS, payer), "price": price}), hospital


def make(repo: stemma.Repo, count: int, number: int) -> None:
    """Fills a database in commits, each of which adds hospitals and their prices."""
    rng = np.random.default_rng(7)
    all_hospitals = hospitals(number, rng)
    all_prices, of = prices(count, all_hospitals.column("npi_number").to_pylist(), rng)
    for i in range(STEPS):
        low, high = number * i // STEPS, number * (i + 1) // STEPS
        here = all_hospitals.slice(low, high - low)
        repo.write(here, "hospitals", mode="create" if i == 0 else "append", primary_key=["npi_number"] if i == 0 else None, message="Updating hospitals with changes from hospitals.csv")
        rows = all_prices.filter(pa.array((of >= low) & (of < high)))
        repo.write(rows, "prices", mode="create" if i == 0 else "append", primary_key=["npi_number", "code", "payer"] if i == 0 else None, message="Updating prices with changes from prices.csv")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="the database, which is there already")
    parser.add_argument("--prices", type=int, default=200_000, help="rows of prices")
    parser.add_argument("--hospitals", type=int, default=1_400)
    given = parser.parse_args()
    with stemma.connect(given.path) as database:
        make(database, given.prices, given.hospitals)
        print(f"{given.path}: {given.hospitals:,} hospitals, {given.prices:,} prices, {STEPS * 2} commits")
