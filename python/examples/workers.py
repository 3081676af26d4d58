"""Reads a table in parallel, each process a part of it, all at one commit.

python workers.py <database> <table>
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor

import stemma


def rows(part: stemma.Partition) -> int:
    """Reads a part, in a process of its own."""
    return part.read_arrow().num_rows


def main() -> None:
    """Counts the rows of a table with four processes."""
    database, table = sys.argv[1:]
    with stemma.connect(database) as repo, ProcessPoolExecutor(4) as pool:
        counts = list(pool.map(rows, repo.partitions(table, "main", 4)))
    sys.stdout.write(f"{sum(counts)} rows in {len(counts)} parts\n")


if __name__ == "__main__":
    main()
