"""Tasks of a foreach write a table each, or rows of one; the join merges artifacts without naming any to leave out."""

import pandas as pd
from metaflow import FlowSpec, Parameter, step

from stemma.metaflow import DoltConfig, DoltDT, stemma


class Fan(FlowSpec):
    db = Parameter("db", required=True)

    @step
    def start(self):
        with DoltDT(run=self, config=DoltConfig(database=self.db)) as dolt:
            dolt.write(pd.DataFrame({"part": pd.Series(dtype="int64"), "square": pd.Series(dtype="int64")}), "squares", ["part"])
        self.parts = [1, 2, 3, 4]
        self.next(self.part, foreach="parts")

    @step
    def part(self):
        with DoltDT(run=self, config=DoltConfig(database=self.db)) as dolt:
            dolt.write(pd.DataFrame({"part": [self.input], "square": [self.input**2]}), "squares", ["part"], mode="upsert")
            dolt.write(pd.DataFrame({"n": [self.input]}), f"part_{self.input}")
        self.next(self.join)

    @step
    def join(self, inputs):
        self.merge_artifacts(inputs)
        self.next(self.end)

    @stemma(db="{db}")
    @step
    def end(self):
        squares = self.stemma.read("squares")
        self.total = int(squares["square"].sum())
        self.stemma.write(pd.DataFrame({"total": [self.total]}), "total")


if __name__ == "__main__":
    Fan()
