"""Trains on tables pinned by commit, as a YAML file of `table@commit` says.

python training.py <database> <config.yaml>
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pandas as pd
import yaml

from stemma import read_pandas


def split(config: dict[str, list[str]], name: str) -> pd.DataFrame:
    """Returns the tables of a split under each other."""
    frames = []
    for item in config[name]:
        table, _, commit = item.partition("@")
        frames.append(read_pandas(table, commit).assign(source=item))
    return pd.concat(frames, ignore_index=True)


def main() -> None:
    """Reads the splits and says what they hold."""
    database, file = sys.argv[1:]
    os.environ["STEMMA_URI"] = database
    config = yaml.safe_load(Path(file).read_text())
    for name in config:
        frame = split(config, name)
        sys.stdout.write(f"{name}: {len(frame)} rows of {frame.source.nunique()} tables, mean of y {frame.y.mean():.3f}\n")


if __name__ == "__main__":
    main()
