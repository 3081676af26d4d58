"""Tasks of a foreach within a foreach that append to tables without a key, all at once: none ends before each has begun."""

import time
from pathlib import Path

import pandas as pd
from metaflow import FlowSpec, Parameter, step

from stemma.metaflow import DoltConfig, DoltDT


class Append(FlowSpec):
    db = Parameter("db", required=True)
    gate = Parameter("gate", required=True)

    @step
    def start(self):
        with DoltDT(run=self, config=DoltConfig(database=self.db)) as dolt:
            dolt.write(pd.DataFrame({"o": [9], "i": [9]}), "known")
        self.outer = [0, 1]
        self.next(self.across, foreach="outer")

    @step
    def across(self):
        self.o = self.input
        self.inner = [0, 1]
        self.next(self.down, foreach="inner")

    @step
    def down(self):
        with DoltDT(run=self, config=DoltConfig(database=self.db)) as dolt:
            Path(self.gate, f"{self.o}{self.input}").touch()
            while len(list(Path(self.gate).iterdir())) < 4:
                time.sleep(0.01)
            rows = pd.DataFrame({"o": [self.o], "i": [self.input]})
            dolt.write(rows, "known", mode="append")
            dolt.write(rows, "fresh", mode="append")
        self.next(self.up)

    @step
    def up(self, inputs):
        self.next(self.end_of_all)

    @step
    def end_of_all(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Append()
