"""A server over TCP: URIs, users, TLS, versions, and commits whose answer is lost."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pymysql
import pytest
import sqlalchemy as sa

import stemma
from adbc_driver_stemma import dbapi
from parts import read_by_workers
from stemma._transport.http2 import LostError

FRAME = pd.DataFrame({"id": range(5000), "x": [str(i) for i in range(5000)]})


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture(scope="module")
def ports(environment: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """The ports of MySQL's protocol and of Flight of a server with the databases shop and lab."""
    directory = tmp_path_factory.mktemp("served")
    mysql, flight = free_port(), free_port()
    log = (directory / "log").open("wb")
    process = subprocess.Popen(
        [os.environ["STEMMA_BINARY"], "serve", "-P", str(mysql), "--flight-port", str(flight)],
        cwd=directory,
        stdout=log,
        stderr=log,
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", flight), 1).close()
            break
        except OSError:
            assert process.poll() is None, (directory / "log").read_text()
            time.sleep(0.05)
    with pymysql.connect(host="127.0.0.1", port=mysql, user="root", ssl_disabled=True) as con, con.cursor() as cur:
        for s in (
            "create database shop",
            "create database lab",
            "create user ann identified by 'p@ss:w/rd'",
            "grant all on shop.* to ann",
        ):
            cur.execute(s)
    yield mysql, flight
    process.terminate()
    assert process.wait(30) == 0, (directory / "log").read_text()
    log.close()


@pytest.fixture
def shop(ports: tuple[int, int]) -> Iterator[stemma.Repo]:
    with stemma.connect(f"stemma://root@127.0.0.1:{ports[1]}/shop") as repo:
        yield repo


def test_databases(shop: stemma.Repo, ports: tuple[int, int]) -> None:
    shop.write(FRAME, "t", mode="replace", primary_key="id", message="five thousand")
    commit = shop.log(number=1)[0].commit_hash
    shop.sql("delete from t")
    assert shop.ping()["database"] == "shop"
    lab = shop.at(database="lab")
    with pytest.raises(stemma.NotFoundError, match="t"):
        lab.read_pandas("t")
    with stemma.connect(f"grpc://root@127.0.0.1:{ports[1]}/shop@{commit}") as old:
        assert len(old.read_pandas("t")) == 5000
    assert len(shop.sql("select * from t", ref=commit)) == 5000
    parts = [pickle.loads(pickle.dumps(p)) for p in shop.partitions("t", commit, 3)]
    assert pd.concat([p.read_pandas() for p in parts], ignore_index=True).equals(FRAME)
    with pytest.raises(stemma.NotFoundError, match="shap"):
        stemma.connect(f"stemma://root@127.0.0.1:{ports[1]}/shap").read_pandas("t")


def test_users(ports: tuple[int, int]) -> None:
    with stemma.connect(f"stemma://ann:p%40ss%3Aw%2Frd@127.0.0.1:{ports[1]}/shop") as repo:
        repo.write({"id": [1]}, "hers", mode="replace", primary_key="id")
        assert repo.read_pandas("hers").id.tolist() == [1]
        with pytest.raises(stemma.StemmaError, match=r"denied|lab"):
            repo.at(database="lab").write({"id": [1]}, "hers", primary_key="id")
    for user in ("ann:wrong", "nobody", "ann"):
        with pytest.raises(stemma.DeniedError) as e:
            stemma.connect(f"stemma://{user}@127.0.0.1:{ports[1]}/shop")
        assert "wrong" not in str(e.value)


@pytest.mark.parametrize(("scheme", "user"), [("stemma", "root"), ("grpc", "ann:p%40ss%3Aw%2Frd")])
def test_partitions_in_other_processes(ports: tuple[int, int], scheme: str, user: str) -> None:
    with stemma.connect(f"{scheme}://{user}@127.0.0.1:{ports[1]}/shop") as repo:
        read_by_workers(repo)
        repo.sql("drop table parts")
        repo.sql("call dolt_commit('-am', 'dropped')")


def test_the_wrong_port(ports: tuple[int, int]) -> None:
    with pytest.raises(stemma.StemmaError):
        stemma.connect(f"stemma://root@127.0.0.1:{ports[0]}/shop")


def test_others_over_tcp(shop: stemma.Repo, ports: tuple[int, int]) -> None:
    shop.write(FRAME, "u", mode="replace", primary_key="id", message="u")
    shop.tag("then")
    shop.branch("a/b")
    shop.sql("update u set x = 'now' where id = 0")
    uri = f"stemma://root@127.0.0.1:{ports[1]}/shop"
    with dbapi.connect(uri) as con:
        assert pd.read_sql("select x from u where id = 0", con).x.tolist() == ["now"]
    with dbapi.connect(f"{uri}@then") as con:
        assert pd.read_sql("select x from u where id = 0", con).x.tolist() == ["0"]
    assert pl.read_database_uri("select count(*) c from u", uri, engine="adbc")["c"].to_list() == [5000]
    for url, want in (
        (f"stemma://root@127.0.0.1:{ports[0]}/shop", "now"),
        (f"stemma://root@127.0.0.1:{ports[0]}/shop@then", "0"),
        (f"stemma://root@127.0.0.1:{ports[0]}/shop@a/b", "0"),
        (f"mysql+pymysql://root:@127.0.0.1:{ports[0]}/shop@then", "0"),
    ):
        engine = sa.create_engine(url, connect_args={"ssl_disabled": True})
        with engine.connect() as con:
            assert con.execute(sa.text("select x from u where id = 0")).scalar() == want
        engine.dispose()


class Losing:
    """A client whose next answer of a verb is lost, before or after the server has done it."""

    def __init__(self, client: Any, *, done: bool) -> None:
        self.client = client
        self.done = done
        self.left = 1

    def action(self, name: str, body: Any, headers: Any, *, safe: bool) -> Any:
        if name == "stemma.op" and body["op"] != "log" and self.left:
            self.left -= 1
            if self.done:
                self.client.action(name, body, headers, safe=safe)
            raise LostError("lost")
        return self.client.action(name, body, headers, safe=safe)


@pytest.mark.parametrize("done", [True, False])
def test_a_commit_whose_answer_is_lost(repo: stemma.Repo, done: bool) -> None:
    repo.write({"id": [1]}, "t", primary_key="id")
    losing = repo.at()
    losing._client = Losing(repo._client, done=done)  # type: ignore[assignment]
    said = losing.commit("one", ALL=True).one().hash
    assert [c.message for c in repo.log()] == ["one", "Initialize data repository"]
    assert repo.log()[0].commit_hash == said
    losing._client = Losing(repo._client, done=done)  # type: ignore[assignment]
    with pytest.raises(stemma.UnavailableError, match=r"branch was answered.*log\(\)"):
        losing.branch("b")


@pytest.mark.parametrize(("protocol", "older"), [(99, "program"), (0, "client")])
def test_another_version(
    protocol: int, older: str, monkeypatch: pytest.MonkeyPatch, repo: stemma.Repo, ports: tuple[int, int]
) -> None:
    """A client and a program, an owner or a server, of which either is the older one."""
    monkeypatch.setattr("stemma._repo.PROTOCOL", protocol)
    for uri in (repo.uri, f"stemma://root@127.0.0.1:{ports[1]}/shop"):
        with pytest.raises(stemma.TooNewError, match=f"do not understand each other: the {older} is the older one") as e:
            stemma.connect(uri)
        assert "one version" in str(e.value.hint)
        with pytest.raises(stemma.TooNewError):
            stemma.read_pandas(f"file://{uri}" if uri == repo.uri else uri, "t")
    monkeypatch.undo()
    assert repo.sql("select 1 a").a[0] == 1


def test_a_plain_driver_runs_what_it_executes(shop: stemma.Repo, ports: tuple[int, int]) -> None:
    """ADBC's own driver, whose cursor is not read: when execute returns, the statement is done."""
    from adbc_driver_flightsql import DatabaseOptions
    from adbc_driver_flightsql import dbapi as flightsql

    with flightsql.connect(
        f"grpc://127.0.0.1:{ports[1]}",
        db_kwargs={"username": "root", DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + "stemma-database": "shop"},
        autocommit=True,
    ) as con:
        for n in range(5):
            with con.cursor() as cur:
                cur.execute(f"create table made{n} (id int primary key)")
            assert f"made{n}" in [t.table_name for t in shop.ls()]
            with con.cursor() as cur:
                cur.execute(f"insert into made{n} values (1), (2)")
            assert shop.read_arrow(f"made{n}").num_rows == 2
            with con.cursor() as cur, pytest.raises(flightsql.Error, match="1"):
                cur.execute(f"insert into made{n} values (1)")
            with con.cursor() as cur:
                cur.execute(f"drop table made{n}")
            assert f"made{n}" not in [t.table_name for t in shop.ls()]
            with con.cursor() as cur, pytest.raises(flightsql.Error, match=f"made{n}"):
                cur.execute(f"drop table made{n}")
        with con.cursor() as cur:
            cur.execute("call dolt_branch('by_adbc')")
        assert "by_adbc" in [b.name for b in shop.branch()]


def test_a_training_configuration_of_databases_of_the_server(
    shop: stemma.Repo, ports: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration and its lock are files of the client; the server has neither."""
    with stemma.connect(f"stemma://root@127.0.0.1:{ports[1]}/lab") as lab:
        lab.write({"id": [1, 2], "y": [0.5, 1.5]}, "marks", primary_key="id", message="marks")
    shop.write({"id": [1, 9], "y": [2.5, 3.5]}, "trained", primary_key="id", message="trained")
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "stemma.yaml"
    config.write_text('train: [trained@main]\ntest:\n- {table: "lab:marks", ref: main, where: "y < 2"}\n')
    with pytest.warns(stemma.SharedKeysWarning, match="train and test share keys: 1 of trained@main are in lab:marks@main"):
        frame = stemma.load(config, split="test", frozen=False, repo=shop)
    assert frame["id"].tolist() == [1, 2]
    assert frame["_source"].tolist() == ["lab:marks@main"] * 2
    config.write_text("train: [trained@main, elsewhere:t@main]\n")
    with pytest.raises(stemma.DeniedError, match="open database elsewhere.*the only directory whose files may be named here"):
        stemma.load(config, frozen=False, repo=shop)
    with pytest.raises(stemma.DeniedError, match="the only directory whose files may be named here"):
        shop.table_import("stolen", "/etc/passwd", create_table=True, file_type="csv")


def test_the_port_of_another_protocol(ports: tuple[int, int]) -> None:
    with pytest.raises(stemma.UnavailableError, match="is it the port of Arrow Flight, and not that of MySQL's protocol") as e:
        stemma.connect(f"stemma://root@127.0.0.1:{ports[0]}/shop")
    assert e.value.code == "unavailable"
