"""A task that fails, inside of the `with`, or after it, writes a key twice, is killed with its rows written, or is overtaken by somebody who changes
the same row; on its first attempt or on all."""

import os
import signal

import pandas as pd
from metaflow import FlowSpec, Parameter, current, retry, step

import stemma
from stemma.metaflow import DoltConfig, DoltDT


class Fails(FlowSpec):
    db = Parameter("db", required=True)
    where = Parameter("where", default="never")
    attempts = Parameter("attempts", default=1)

    @retry(times=1, minutes_between_retries=0)
    @step
    def start(self):
        with DoltDT(run=self, config=DoltConfig(database=self.db)) as dolt:
            dolt.write(pd.DataFrame({"run": ["r"], "n": [7]}), "appended", mode="append")
            ids = [1, 1] if self.where == "doubled" else [1, 2]
            dolt.write(pd.DataFrame({"id": ids, "v": ["a", None]}), "keyed", ["id"])
            if self.where == "overtaken" and current.retry_count < self.attempts:
                other = pd.DataFrame({"id": [1], "v": [f"other {current.retry_count}"]})
                stemma.connect(self.db).write(other, "keyed", mode="upsert", message="by hand")
            self.fail("inside")
            if self.where == "killed" and current.retry_count < self.attempts:
                os.kill(os.getpid(), signal.SIGKILL)
        self.fail("after")
        self.next(self.end)

    def fail(self, where):
        if self.where == where and current.retry_count < self.attempts:
            raise RuntimeError(f"it fails {where}")

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Fails()
