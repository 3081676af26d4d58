"""A project of Kedro for the benchmark of that name: five nodes that go from prices of hospitals to a summary.

    make DIRECTORY PRICES HOSPITALS FLIGHT MYSQL    writes the project on two CSV files and a server's two addresses
    run DIRECTORY KIND HOOKS RATE                   runs it once and prints the seconds that took, Kedro's own imports aside

The kinds are `own`, tables by stemma.kedro, `plain`, tables by pandas.SQLTableDataset, and `files`, Parquet files. HOOKS is the kind again, or
`none`: then Kedro is told to load no hooks of stemma's.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

PACKAGE = "prices_of_states"

TABLES = {
    "clean": ["npi_number", "code", "payer"],
    "medians": ["state", "code"],
    "variances": ["code"],
    "outliers": ["npi_number", "code", "payer"],
    "summary": ["state"],
}

PIPELINE = '''
from kedro.pipeline import node, pipeline


def clean(prices, rate):
    kept = prices[~prices["code"].str.startswith("nan")]
    return kept.assign(price=kept["price"] * rate).reset_index(drop=True)


def medians(clean, hospitals):
    joined = clean.merge(hospitals[["npi_number", "state"]], on="npi_number")
    return joined.groupby(["state", "code"], as_index=False)["price"].median()


def variances(medians):
    return medians.groupby("code", as_index=False)["price"].var()


def outliers(clean, variances):
    joined = clean.merge(variances.rename(columns={"price": "spread"}), on="code")
    return joined[joined["price"] ** 2 > 9 * joined["spread"]].reset_index(drop=True)


def summary(medians, outliers, hospitals):
    many = outliers.merge(hospitals[["npi_number", "state"]], on="npi_number").groupby("state").size()
    found = medians.groupby("state", as_index=False)["price"].median()
    return found.assign(outliers=found["state"].map(many).fillna(0).astype("int64"))


def register_pipelines():
    return {
        "__default__": pipeline(
            [
                node(clean, ["prices", "params:rate"], "clean"),
                node(medians, ["clean", "hospitals"], "medians"),
                node(variances, "medians", "variances"),
                node(outliers, ["clean", "variances"], "outliers"),
                node(summary, ["medians", "outliers", "hospitals"], "summary"),
            ]
        )
    }
'''

SETTINGS = """
import os

if os.environ["BENCH_HOOKS"] == "none":
    DISABLE_HOOKS_FOR_PLUGINS = ("stemma-db", "stemma-dolt-compat")
elif os.environ["BENCH_HOOKS"] == "plain":
    from stemma.kedro import StemmaHooks

    HOOKS = (StemmaHooks(database={database!r}),)
"""


def make(directory: Path, prices: str, hospitals: str, flight: str, mysql: str) -> None:
    catalogs = {
        "own": lambda t, key: {"type": "stemma.kedro.TableDataset", "table": t, "credentials": "stemma", "primary_key": key},
        "plain": lambda t, _: {"type": "pandas.SQLTableDataset", "table_name": t, "credentials": "sql", "save_args": {"if_exists": "replace"}},
        "files": lambda t, _: {"type": "pandas.ParquetDataset", "filepath": f"data/{t}.parquet"},
    }
    files = {
        "pyproject.toml": f'[tool.kedro]\npackage_name = "{PACKAGE}"\nproject_name = "{PACKAGE}"\nkedro_init_version = "1.7.0"\n',
        f"src/{PACKAGE}/__init__.py": "",
        f"src/{PACKAGE}/pipeline_registry.py": PIPELINE,
        f"src/{PACKAGE}/settings.py": SETTINGS.format(database=mysql.rpartition("/")[2]),
        "conf/base/parameters.yml": "rate: 1.0\n",
        "logging.yml": "version: 1\n",
        "conf/base/catalog.yml": json.dumps({n: {"type": "pandas.CSVDataset", "filepath": f} for n, f in (("prices", prices), ("hospitals", hospitals))}),
        "conf/local/credentials.yml": json.dumps({"stemma": {"uri": flight}, "sql": {"con": mysql}}),
    }
    files |= {f"conf/{kind}/catalog.yml": json.dumps({t: one(t, key) for t, key in TABLES.items()}) for kind, one in catalogs.items()}
    files |= {f"conf/{kind}/credentials.yml": files["conf/local/credentials.yml"] for kind in catalogs}
    for name, text in files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if git := shutil.which("git"):  # where the project is in git, hooks ask it for the commit
        who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
        for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "project"]):
            subprocess.run([git, *command], cwd=directory, check=True)


def run(directory: Path, kind: str, hooks: str, rate: str) -> None:
    os.environ |= {"BENCH_HOOKS": hooks, "KEDRO_LOGGING_CONFIG": str(directory / "logging.yml")}
    warnings.simplefilter("ignore")
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    logging.disable(logging.INFO)
    begin = time.perf_counter()
    bootstrap_project(directory)
    with KedroSession.create(directory, env=kind, runtime_params={"rate": float(rate)}, save_on_close=False) as session:
        session.run()
    print(json.dumps({"seconds": time.perf_counter() - begin}), flush=True)


if __name__ == "__main__":
    {"make": make, "run": run}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
