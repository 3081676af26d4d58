"""Flight over HTTP/2, against Arrow's own server."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import flight_peer
import stemma
from flight_peer import ROWS
from stemma._address import Address
from stemma._transport.client import Client
from stemma._transport.http2 import LostError


def start(*arguments: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, flight_peer.__file__, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    process, port = start("grpc://127.0.0.1:0")
    yield port
    process.kill()
    process.communicate()


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    client = Client(Address(host="127.0.0.1", port=port))
    yield client
    client.close()


def get(client: Client, ticket: str) -> pa.RecordBatchReader:
    return client.get(ticket, {}, safe=True)


def test_action(client: Client) -> None:
    assert client.action("echo", {"a": "ü" * 100_000}, {"stemma-author": "Ünal <u@x>"}, safe=True) == {"a": "ü" * 100_000}
    with pytest.raises(stemma.StemmaError, match="this failed"):
        client.action("fail", {}, {}, safe=True)
    with pytest.raises(stemma.InvalidError, match="line break"):
        client.action("echo", {}, {"stemma-run": "a\nb"}, safe=True)
    assert client.action("echo", 1, {}, safe=True) == 1


def test_get(client: Client) -> None:
    assert get(client, "big").read_all().equals(flight_peer.TABLE)
    assert get(client, "empty").read_all().equals(flight_peer.TABLE.slice(0, 0))
    assert len(client._idle) == 1
    with pytest.raises(stemma.UnavailableError, match="no such stream"):
        get(client, "nothing")


def test_get_that_breaks(client: Client) -> None:
    reader = get(client, "break")
    assert reader.read_next_batch().num_rows == 10
    with pytest.raises(stemma.InternalError, match="broke in the middle"):
        reader.read_next_batch()
    assert get(client, "big").read_next_batch().num_rows == 100_000  # given up after one batch
    assert get(client, "empty").read_all().num_rows == 0


def test_put(client: Client) -> None:
    table = flight_peer.TABLE
    seen: list[int] = []
    for data in (table, table.select(["n"])):
        assert client.put("take", lambda: data.to_reader(90_000), {}, safe=True, progress=seen.append) == [
            ROWS,
            ROWS * (ROWS - 1) // 2,
        ]
    assert sum(seen) == 2 * ROWS
    for command in ("refuse", "stop"):
        with pytest.raises(stemma.StemmaError, match="refused|stopped in the middle"):
            client.put(command, lambda: table.to_reader(), {}, safe=True)

    def failing() -> Iterator[pa.RecordBatch]:
        yield table.slice(0, 5).combine_chunks().to_batches()[0]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        client.put("take", lambda: pa.RecordBatchReader.from_batches(table.schema, failing()), {}, safe=True)
    assert client.action("echo", 1, {}, safe=True) == 1


def test_threads(client: Client) -> None:
    rows: list[int] = []
    threads = [threading.Thread(target=lambda: rows.append(get(client, "big").read_all().num_rows)) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert rows == [ROWS] * 4


def _count(client: Client) -> int:
    return get(client, "big").read_all().num_rows


def _forked(client: Client) -> None:
    os._exit(0 if _count(client) == ROWS else 1)


def test_fork(client: Client) -> None:
    reader = get(client, "big")
    reader.read_next_batch()
    children = [multiprocessing.get_context("fork").Process(target=_forked, args=(client,)) for _ in range(2)]
    for c in children:
        c.start()
    assert reader.read_all().num_rows == ROWS - 100_000  # what the children do is no matter of ours
    for c in children:
        c.join(60)
        assert c.exitcode == 0
    assert _count(client) == ROWS


@pytest.mark.parametrize("restarts", [False, True])
def test_interrupt(client: Client, interrupted: threading.Event, restarts: bool) -> None:
    """Ctrl-C ends a call at once, also when calls to the system go on after a signal, as they do once Polars is imported."""
    signal.siginterrupt(signal.SIGINT, not restarts)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        client.action("sleep", 20, {}, safe=True)
    interrupted.set()
    signal.siginterrupt(signal.SIGINT, True)
    assert time.monotonic() - began < 15
    assert client.action("echo", 1, {}, safe=True) == 1


def test_lost_server() -> None:
    process, port = start("grpc://127.0.0.1:0")
    client = Client(Address(host="127.0.0.1", port=port))
    reader = get(client, "big")
    reader.read_next_batch()
    process.kill()
    process.communicate()
    with pytest.raises(LostError):
        for _ in reader:
            pass
    with pytest.raises(stemma.UnavailableError, match="nothing answers"):
        client.action("echo", 1, {}, safe=True)
    client.close()
    with pytest.raises(stemma.UnavailableError, match="closed"):
        client.action("echo", 1, {}, safe=True)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate needs openssl")
def test_tls(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-out",
            cert,
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ],
        check=True,
        capture_output=True,
    )
    process, port = start("grpc+tls://localhost:0", str(cert), str(key))
    try:
        trusting = Client(Address(host="localhost", port=port, tls=True, ca=str(cert)))
        assert get(trusting, "big").read_all().equals(flight_peer.TABLE)
        assert trusting.put("take", lambda: flight_peer.TABLE.to_reader(), {}, safe=True)[0] == ROWS
        trusting.close()
        with pytest.raises(stemma.UnavailableError, match=r"could not be trusted.*\?ca="):
            Client(Address(host="localhost", port=port, tls=True)).action("echo", 1, {}, safe=True)
        with pytest.raises(stemma.UnavailableError):
            Client(Address(host="localhost", port=port)).action("echo", 1, {}, safe=True)
    finally:
        process.kill()
        process.communicate()


def test_what_is_no_flight_server(tmp_path: Path) -> None:
    import http.server

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = Client(Address(host="127.0.0.1", port=server.server_port))
    with pytest.raises(stemma.StemmaError):
        client.action("echo", 1, {}, safe=True)
    client.close()
    server.shutdown()
    server.server_close()
