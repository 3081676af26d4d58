"""A task that appends in several commits, of which attempts do not all make the same ones: what it does is its kind."""

import multiprocessing
import os
import signal

import pandas as pd
from metaflow import FlowSpec, Parameter, current, retry, step

from stemma.metaflow import DoltConfig, DoltDT


class Differ(FlowSpec):
    db = Parameter("db", required=True)
    link = Parameter("link", default="")
    kind = Parameter("kind", required=True)

    @retry(times=2, minutes_between_retries=0)
    @step
    def start(self):
        getattr(self, self.kind)()
        self.next(self.end)

    def forked(self):
        """A child appends, then its parent."""
        self.apart(self.append, 1)
        self.append(2)

    def forked_alike(self):
        """A child and its parent append the same; the parent comes to it in the second attempt only."""
        self.apart(self.append, 1)
        self.die(0)
        self.append(1)
        self.die(1)

    def alias(self):
        """One database by two paths."""
        self.append(1)
        self.append(2, path=self.link)
        self.die(0)
        self.append(3)

    def alias_alike(self):
        self.append(1)
        self.die(0)
        self.append(1, path=self.link)

    def upsert(self):
        """A commit whose rows differ with each attempt, beside those that are appended; two attempts die."""
        with self.database() as dolt:
            dolt.write(pd.DataFrame({"id": [1], "v": [0]}), "k", mode="append")
            dolt.write(pd.DataFrame({"id": [1000], "v": [current.retry_count]}), "k", mode="upsert", as_key="u")
        self.die(0)
        self.database().write(pd.DataFrame({"id": [2], "v": [0]}), "k", mode="append")
        self.die(1)
        self.database().write(pd.DataFrame({"id": [3], "v": [0]}), "k", mode="append")

    def caught(self):
        """A block that fails in the first attempt only."""
        self.append(1)
        try:
            with self.database() as dolt:
                dolt.write(pd.DataFrame({"n": [2]}), "t", mode="append")
                if current.retry_count == 0:
                    raise LookupError
        except LookupError:
            pass
        self.append(3)
        self.die(0)

    def branches(self):
        self.append(1)
        self.append(2, branch="two")
        self.append(3)
        self.append(3, branch="two")
        self.die(0)

    def discard(self):
        """A table that was nearly written anew."""
        try:
            with self.database() as dolt:
                dolt.write(pd.DataFrame({"n": [0]}), "t")
                raise LookupError
        except LookupError:
            pass
        self.append(1)
        self.die(0)

    def refused(self):
        """Writes that meet what is there already, and then do not come into the branch: the second one by the task's own commit."""
        for fails in (True, False):
            try:
                with self.database() as dolt:
                    dolt.write(pd.DataFrame({"n": [1]}), "t", mode="append")
                    dolt.write(pd.DataFrame({"id": [5], "v": [current.retry_count]}), "k", mode="upsert")
                    if fails:
                        self.by_hand().write(pd.DataFrame({"id": [5], "v": [50 + current.retry_count]}), "k", mode="upsert", message="by hand")
            except Exception as e:
                assert fails, e
        self.die(0)
        self.append(4)
        self.die(1)

    def twice(self):
        """The same rows twice, of which the first attempt makes one."""
        self.append(1)
        self.die(0)
        self.append(1)
        self.die(1)

    def other(self):
        """Rows that are computed anew."""
        self.append(current.retry_count)
        self.die(0)

    def by_hand(self):
        import stemma

        return stemma.connect(self.db)

    def database(self, path=None, branch=None):
        return DoltDT(run=self, config=DoltConfig(database=path or self.db, branch=branch))

    def append(self, n, **where):
        self.database(**where).write(pd.DataFrame({"n": [n]}), "t", mode="append")

    def apart(self, work, *given):
        child = multiprocessing.get_context("fork").Process(target=work, args=given)
        child.start()
        child.join()
        assert child.exitcode == 0

    def die(self, attempt):
        if current.retry_count == attempt:
            os.kill(os.getpid(), signal.SIGKILL)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Differ()
