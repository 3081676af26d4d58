"""Every row of docs/from-2021.md that is about Kedro: what was printed fails as the row says, and today's form runs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator

import pytest
import yaml
from kedro.io import DataCatalog, DatasetError

from project import ROOT, SETTINGS, Project, Server, binary, served
from test_2021 import PRINTED

ROWS: dict[str, list[str]] = {}
for _line in (ROOT / "docs" / "from-2021.md").read_text().splitlines():
    if re.match(r"\| B\d", _line):
        _name, *_cells = [c.strip() for c in _line.strip("|").split(" | ")]
        ROWS[_name.strip("| ")] = [c.strip("| ") for c in (*_cells, "")][:3]

CHECKS: dict[str, Callable[[Iris, list[str], list[str], list[str]], None]] = {}


class Iris:
    """The project of the example on a database of its own, after two runs."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.server = project.server

    def dolt(self, *args: str) -> str:
        done = subprocess.run([self.server.directory.parent / "dolt", *args], cwd=self.server.directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iris]:
    work = tmp_path_factory.mktemp("iris")
    (work / "dolt").symlink_to(binary())
    with served(work / "kedro-dolt-demo") as server:
        project = Project(work / "project", server)
        project.catalog(
            "\n".join(
                f"{n}: {{type: pandas.SQLTableDataset, table_name: {n}, credentials: sql, save_args: {{if_exists: replace}}}}"
                for n in ("example_test_x", "example_test_y")
            )
        )
        project.write("conf/base/parameters.yml", "example_test_data_ratio: 0.2\n")
        project.pipeline(
            """
            def split(ratio):
                n = int(ratio * 30)
                x = pd.DataFrame({"sepal_length": [4 + i / 10 for i in range(n)], "sepal_width": [3.0] * n})
                return x, pd.DataFrame({"setosa": [i % 2 for i in range(n)], "virginica": [1 - i % 2 for i in range(n)]})

            def register_pipelines():
                return {"__default__": pipeline([node(split, "params:example_test_data_ratio", ["example_test_x", "example_test_y"])])}
            """
        )
        project.run(example_test_data_ratio=0.1)
        project.run(example_test_data_ratio=0.2)
        project.run(branch="new", example_test_data_ratio=0.3)
        yield Iris(project)


def row(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def keep(check: Callable[..., None]) -> Callable[..., None]:
        CHECKS[name] = check
        return check

    return keep


def test_every_row_has_a_check() -> None:
    assert set(ROWS) == set(CHECKS)
    assert len(ROWS) > 15


@pytest.mark.parametrize("name", list(ROWS))
def test_row(iris: Iris, name: str) -> None:
    cells = ROWS[name]
    CHECKS[name](iris, *(re.findall(r"`([^`]+)`", c) for c in cells))


def from_catalog(text: str, server: Server, **more: object) -> None:
    config = {**yaml.safe_load(text), "credentials": {"con": server.url}, **more}
    DataCatalog.from_config({"d": config}).get("d")


@row("B5")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    directory = iris.server.directory.parent / "fresh"
    directory.mkdir()
    done = subprocess.run([iris.server.directory.parent / "dolt", *printed[0].split()[1:]], cwd=directory, capture_output=True, text=True, check=True)
    assert done.stdout == why[0] + "\n"


@row("B6")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    assert 'Starting server with Config HP="localhost:' in (iris.server.directory.parent / "server.log").read_text()
    port = iris.server.port  # another server of the directory is refused, after the flags have been understood
    done = subprocess.run(
        [iris.server.directory.parent / "dolt", *printed[0].split()[1:], "-P", str(port)], cwd=iris.server.directory, capture_output=True, text=True, check=False, timeout=30
    )
    assert str(port) in done.stdout + done.stderr
    assert "unknown" not in done.stderr


@row("B7")
@row("B7-csv")
@row("B21")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    more = {"filepath": "x"} if "CSV" in today[0] else {"table_name": "t"} if "Table" in today[0] else {"sql": "select 1"}
    with pytest.raises(DatasetError, match=re.escape(why[-1])):
        from_catalog(printed[0], iris.server, **more)
    from_catalog(today[0], iris.server, **more)


@row("B8")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    assert printed[0] in PRINTED.replace("{{", "{")  # which test_2021 runs
    bare = SETTINGS + (
        "\nfrom kedro.framework.hooks import hook_impl\n\n\nclass Bare:\n    @hook_impl\n"
        f"    def before_pipeline_run(self, run_params):\n        {today[-1]}\n        {printed[0]}\n\n\nHOOKS = (Bare(),)\n"
        'DISABLE_HOOKS_FOR_PLUGINS = ("stemma-dolt-compat",)\n'
    )
    project = Project(iris.project.directory.parent / "bare", iris.server, settings=bare)
    project.catalog("a: {type: MemoryDataset, data: 1}\n")
    project.pipeline('def register_pipelines():\n    return {"__default__": pipeline([node(lambda a: None, "a", None)])}\n')
    with pytest.raises(KeyError, match=why[0].removeprefix("KeyError: ")):
        project.run()


@row("B12")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    assert printed[0] in (ROOT / "examples/kedro-iris/src/kedro_dolt_demo/settings.py").read_text()
    assert printed[0] in PRINTED


@row("B13")
@row("B19")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    assert why[-1] in iris.project.kedro(*printed[0].split()[1:], fails=True)
    before = iris.server.messages("new" if "new" in today[0] else "main")
    iris.project.kedro(*today[0].split()[1:])
    assert len(iris.server.messages("new" if "new" in today[0] else "main")) in {len(before), len(before) + 1}


@row("B14")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    said = iris.dolt("log")
    assert re.search(r"(?m)^commit [0-9a-v]{32} *$\nAuthor: Lim Hoang <limdauto@gmail.com>\nDate:  \w{3} \w{3} \d+ [\d:]+ \+0000 \d{4}\n\n\tUpdate from kedro run: ", said)


@row("B15")
@row("B20")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    lines = iris.dolt(*printed[0].split()[1:]).splitlines()
    assert lines[0] == "diff --dolt a/example_test_x b/example_test_x"
    assert [re.sub(r"[0-9a-v]{32}", "#", x) for x in lines[1:3]] == ["--- a/example_test_x @ #", "+++ b/example_test_x @ #"]
    assert re.match(r"\|   \| sepal_length \| sepal_width \|", lines[4])
    assert sum(bool(re.match(r"\| [-+] \|", x)) for x in lines) in range(1, 6)


@row("B17")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    said = iris.dolt("sql", "-q", f"\n    select to_sepal_width, from_sepal_width, diff_type, to_commit, from_commit\n    from dolt_diff_example_test_x\n    {printed[0]}\n    limit 5")
    assert "| to_sepal_width | from_sepal_width | diff_type | to_commit                        | from_commit                      |" in said
    assert re.search(r"\| (added|removed) ", said)


@row("B21-sql")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    rest = f"\ncredentials:\n  con: {iris.server.url}\n"
    with pytest.raises(yaml.YAMLError, match=re.escape(why[-1])):
        yaml.safe_load("type: pandas.SQLQueryDataset\n" + printed[0] + rest)
    config = yaml.safe_load("type: pandas.SQLQueryDataset\n" + today[0] + rest)
    assert list(DataCatalog.from_config({"d": config}).load("d").columns) == ["setosa", "virginica"]


@row("B21-save")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    with pytest.raises(DatasetError, match=re.escape(why[-1])):
        from_catalog("type: pandas.SQLQueryDataset\nsql: select 1\nsave_args: {if_exists: replace}", iris.server)
    from_catalog("type: pandas.SQLQueryDataset\nsql: select 1", iris.server)


@row("B23")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    said = iris.dolt("sql", "-q", printed[0].split('"')[1])
    assert "| setosa | virginica |" in said
    assert said.count("\n| 0 ") + said.count("\n| 1 ") == 5


@row("B24")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:
    run = iris.server.messages("main")[-1].rpartition(" ")[2]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z", run)
    condition = printed[0].replace("2021-05-03T20.51.27.129Z", run)
    said = iris.dolt("sql", "-q", f"\n    select commit_hash, message\n    from dolt_commits\n    {condition}")
    assert f"| Update from kedro run: {run} |" in said
    assert said.count("Update from") == 1


@row("B25")
def _(iris: Iris, printed: list[str], today: list[str], why: list[str]) -> None:

    message = eval(f'lambda run_params: f"Update from kedro run: {{{printed[0]}}}"', {"json": __import__("json")})  # noqa: S307
    from stemma.kedro.hooks import _known

    assert message(_known({"run_id": "x", "runtime_params": {"branch": "new"}})) == why[0]
