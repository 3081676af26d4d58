"""Reads and writes the price list with the Python package, for the benchmark of that name, which gives the directory of a database, what
to do, and how often. It prints an object of JSON a line: a figure's name and value."""

import json
import os
import socket
import struct
import sys
import time


def say(name, value):
    print(json.dumps({"name": name, "value": value}), flush=True)


def timed(name, count, call):
    for _ in range(count):
        begin = time.perf_counter()
        out = call()
        say(name, time.perf_counter() - begin)
        del out


def peak(directory):
    """The peak resident memory in bytes of the owner of a directory."""
    from stemma import _owner

    with _owner.connect(directory) as s:
        pid, _, _ = struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


def load():
    begin = time.perf_counter()
    import stemma  # noqa: F401

    say("import stemma", time.perf_counter() - begin)
    if "pandas" in sys.modules:
        sys.exit("import stemma imported pandas")


def cold(directory, rows):
    import stemma

    frame = stemma.connect(directory).read_pandas("prices", "HEAD")
    if len(frame) != rows:
        sys.exit(f"{len(frame)} rows, not {rows}")


def warm(directory, rows, count):
    import numpy as np
    import pandas as pd  # noqa: F401
    import polars as pl  # noqa: F401
    import stemma

    repo = stemma.connect(directory)
    frame = repo.read_pandas("prices", "HEAD")
    if len(frame) != rows:
        sys.exit(f"{len(frame)} rows, not {rows}")
    say("peak of the child: read_pandas", peak(directory))
    timed("read_arrow", count, lambda: repo.read_arrow("prices", "HEAD"))
    timed("read_arrow: one column", count, lambda: repo.read_arrow("prices", "HEAD", columns=["price"]))
    timed("read_polars", count, lambda: repo.read_polars("prices", "HEAD"))
    timed("read_pandas", count, lambda: repo.read_pandas("prices", "HEAD"))
    say("peak of the child: reads", peak(directory))
    key = ["npi_number", "code", "payer"]
    changed = frame.copy()
    every = max(rows // 1000, 1)
    at = np.arange(0, rows, every)
    for i in range(count):
        table = f"again_{i}"
        timed("write a new table", 1, lambda: repo.write(frame, table, mode="create", primary_key=key))
        if i == 0:
            say("peak of the child: write", peak(directory))
        changed.loc[at, "price"] = frame.loc[at, "price"] + 1 + i
        begin = time.perf_counter()
        done = repo.write(changed, table, mode="merge")
        say("merge with 1,000 changed rows", time.perf_counter() - begin)
        if (done.updated, done.inserted, done.deleted) != (len(at), 0, 0):
            sys.exit(f"a merge of {len(at)} changed rows did {done}")
        if i == 0:
            say("peak of the child: merge", peak(directory))


def column(directory, rows):
    import stemma

    frame = stemma.connect(directory).read_pandas("prices", columns=["price"])
    if len(frame) != rows or list(frame.columns) != ["price"]:
        sys.exit(f"{len(frame)} rows of {list(frame.columns)}, not {rows}")


match sys.argv[2]:
    case "column":
        column(sys.argv[1], int(sys.argv[3]))
    case "import":
        load()
    case "cold":
        cold(sys.argv[1], int(sys.argv[3]))
    case "warm":
        warm(sys.argv[1], int(sys.argv[3]), int(sys.argv[4]))
