"""A flow that reads in one task and writes in another, to another database perhaps; what was read comes there as an artifact."""

import os
import signal

from metaflow import FlowSpec, Parameter, step

from stemma.metaflow import DoltConfig, DoltDT


class Apart(FlowSpec):
    raw = Parameter("raw", required=True)
    made = Parameter("made", required=True)
    fails = Parameter("fails", default=False)

    @step
    def start(self):
        with DoltDT(run=self, config=DoltConfig(database=self.raw)) as dolt:
            self.prices = dolt.read("prices")
        self.next(self.middle)

    @step
    def middle(self):
        self.doubled = self.prices.assign(v=2 * self.prices["v"])
        self.next(self.write)

    @step
    def write(self):
        with DoltDT(run=self, config=DoltConfig(database=self.raw)) as dolt:
            codes = dolt.sql("select id from codes", as_key="few")
        with DoltDT(run=self, config=DoltConfig(database=self.made)) as dolt:
            dolt.write(self.doubled[self.doubled["id"].isin(codes["id"])], "doubled", ["id"])
        if self.fails:
            os.kill(os.getpid(), signal.SIGKILL)  # after the commit
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Apart()
