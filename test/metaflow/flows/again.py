"""A task that appends to a table in several commits, and is killed after some of them on its first attempt."""

import os
import signal

import pandas as pd
from metaflow import FlowSpec, Parameter, current, retry, step

from stemma.metaflow import DoltConfig, DoltDT


class Again(FlowSpec):
    db = Parameter("db", required=True)
    dies = Parameter("dies", default=9)
    mode = Parameter("mode", default="append")

    @retry(times=1, minutes_between_retries=0)
    @step
    def start(self):
        self.write("renewed", 0, None)
        for n in range(3):
            with DoltDT(run=self, config=DoltConfig(database=self.db)) as dolt:
                dolt.write(pd.DataFrame({"n": []}, dtype="int64"), "appended", mode=self.mode, as_key="none")
                dolt.write(pd.DataFrame({"n": [n]}), "appended", mode=self.mode)
                dolt.write(pd.DataFrame({"n": [10 + n]}), "appended", mode=self.mode, as_key="more")
            self.die(n)
        try:
            with DoltDT(run=self, config=DoltConfig(database=self.db)) as dolt:
                dolt.write(pd.DataFrame({"n": [99]}), "appended", mode=self.mode)
                raise LookupError
        except LookupError:
            pass
        for n in range(3, 5):
            self.write("appended", n, self.mode)
            self.die(n)
        self.write("renewed", 1, self.mode)
        self.die(5)
        self.next(self.end)

    def write(self, table, n, mode):
        DoltDT(run=self, config=DoltConfig(database=self.db)).write(pd.DataFrame({"n": [n]}), table, mode=mode)

    def die(self, n):
        if self.dies == n and current.retry_count == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Again()
