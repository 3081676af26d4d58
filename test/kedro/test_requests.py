"""What a run asks of the server beside what its nodes read and write."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from project import Project
from stemma._database import OfRepo, OfUrl
from stemma._transport.http2 import Connection

NODES = "abcde"

PIPELINE = """
def first(n):
    return pd.DataFrame({"id": [1, 2, 3], "v": [n, n + 1, n + 2]})


def later(x):
    return x.assign(v=x["v"] + 1)


def register_pipelines():
    made = [node(first, "params:n", "a", name="a")]
    made += [node(later, x, y, name=y) for x, y in zip("abcd", "bcde")]
    return {"__default__": pipeline(made)}
"""

OWN = "{0}: {{type: stemma.kedro.TableDataset, table: {0}, credentials: stemma, primary_key: id}}\n"
PLAIN = "{0}: {{type: pandas.SQLTableDataset, table_name: {0}, credentials: sql, save_args: {{if_exists: replace}}}}\n"

BESIDE = [
    "select @@server_uuid",  # which database this is
    "select active_branch()",  # where the session is, and whether there is a run of this id
    "call dolt_branch",
    "call stemma_run_start",
    "call dolt_commit",
    "call dolt_merge",
    "call stemma_run_end",
    "call dolt_branch",
]
"""The statements of a run into a branch that nobody else has moved, in their order."""

CARRIED = ["select db, table_name", "call stemma_run_record"]
"""Those before the commit where datasets of other libraries do not tell which node reads them."""


@pytest.mark.parametrize("kind", ["own", "plain"])
def test_requests(project: Project, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    project.catalog("".join((OWN if kind == "own" else PLAIN).format(n) for n in NODES))
    project.pipeline(PIPELINE)
    project.run(n=1)
    statements: list[str] = []
    requests: Counter[str] = Counter()
    for database in (OfRepo, OfUrl):

        def noted(self: Any, statement: str, *params: Any, ask: Any = database.answer, **options: Any) -> Any:
            statements.append(statement)
            return ask(self, statement, *params, **options)

        monkeypatch.setattr(database, "answer", noted)
    opened = Connection.open

    def counted(self: Connection, fields: Any) -> None:
        fields = list(fields)
        requests[str(dict(fields)[":path"]).rpartition("/")[2]] += 1
        opened(self, fields)

    monkeypatch.setattr(Connection, "open", counted)
    project.run(n=2)
    assert project.server.query("select v from e where id = 1") == [(6,)]
    at = BESIDE.index("call dolt_commit")
    expected = BESIDE if kind == "own" else BESIDE[:at] + CARRIED + BESIDE[at:]
    assert len(statements) == len(expected), statements
    for said, wanted in zip(statements, expected, strict=True):
        assert said.startswith(wanted), statements
    if kind == "own":
        # A save is one request, and so is a load; a statement is one.
        assert sum(requests.values()) <= len(BESIDE) + 2 * len(NODES) - 1, requests
    else:
        assert not requests
