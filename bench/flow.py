"""The flow of state medians that was announced in 2021, for the benchmark of that name. It prints an object of JSON a line: a figure's name
and value."""

import json
import socket
import struct
import time

from metaflow import FlowSpec, Parameter, step

from stemma import _owner
from stemma.metaflow import DoltConfig, DoltDT


def say(name, value):
    print(json.dumps({"name": name, "value": value}), flush=True)


def peak(pid="self"):
    """The peak resident memory of a process in bytes."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


def owner(directory):
    """The process that owns a directory."""
    with _owner.connect(directory) as s:
        return struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


class Medians(FlowSpec):
    """Reads prices and hospitals, joins them, and writes the median price of each state and code."""

    prices = Parameter("prices", required=True)
    analysis = Parameter("analysis", required=True)

    @step
    def start(self):
        begin, before = time.perf_counter(), peak()
        with DoltDT(run=self, config=DoltConfig(database=self.prices)) as dolt:
            prices = dolt.read("prices")
            hospitals = dolt.read("hospitals")
            say("peak of the children", peak(owner(self.prices)))
        read = time.perf_counter() - begin
        say("task beyond the frame", peak() - before - int(prices.memory_usage(deep=True).sum()))
        say("rows", len(prices))
        joined = prices.set_index("npi_number").join(hospitals.set_index("npi_number")[["state"]], how="left", on="npi_number")
        medians = joined.groupby(["state", "code"]).median(numeric_only=True).reset_index()
        begin = time.perf_counter()
        with DoltDT(run=self, config=DoltConfig(database=self.analysis)) as dolt:
            dolt.write(medians, "state_procedure_medians", ["state", "code"])
            children = owner(self.analysis)
        say("stemma's part", read + time.perf_counter() - begin)
        say("peak of the children", peak(children))
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Medians()
