"""A flow whose commits go to the database's remote."""

import pandas as pd
from metaflow import FlowSpec, Parameter, step

from stemma.metaflow import DoltConfig, DoltDT


class Push(FlowSpec):
    db = Parameter("db", required=True)
    n = Parameter("n", default=1)

    @step
    def start(self):
        with DoltDT(run=self, config=DoltConfig(database=self.db, push_on_commit=True)) as dolt:
            dolt.write(pd.DataFrame({"n": [self.n]}), "t", ["n"])
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Push()
