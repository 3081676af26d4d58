"""Calls to a database, whatever happens to the connection: a pool of connections, the owner's start, calls made again."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any, cast

from stemma import _owner
from stemma._errors import InvalidError, NotFoundError, UnavailableError
from stemma._transport import flight, memory
from stemma._transport.http2 import Connection, LostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from stemma._address import Address

TIMEOUT = 20.0
"""Seconds that connecting to a server may take."""


class Client:
    """Calls to the database at an address. It is for many threads; a forked process opens connections of its own."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._closed = False
        self._copy: str | None = None
        _clients.add(self)

    def directory(self) -> str | None:
        """Returns the directory whose owner answers: that of the database, or of the copy of a remote; None for a server."""
        if self.address.remote is None:
            return self.address.directory
        if self._copy is None:
            from stemma._copies import copy_of

            self._copy = copy_of(self.address.remote)
        return self._copy

    def close(self) -> None:
        """Closes all connections, those of calls that are under way included."""
        with self._lock:
            self._closed = True
            for c in list(self._open):
                c.close()
            self._idle.clear()

    def leave(self) -> None:
        """Closes the connections that no call is using, so that the owner of a directory may end; the next call makes one."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def action(self, name: str, body: Mapping[str, Any], headers: Mapping[str, str], *, safe: bool) -> Any:
        """Does an action and returns its result. Safe says that doing it twice is as doing it once."""
        data = json.dumps(body).encode()
        out = self._again(lambda: flight.action(self._call("DoAction", headers), name, data), safe=safe)
        return json.loads(out[0]) if out and out[0] else {}

    def get(self, ticket: Mapping[str, Any], headers: Mapping[str, str], *, safe: bool) -> pa.RecordBatchReader:
        """Begins a read and returns its batches. A connection that breaks before the first of them is made again when that is safe."""
        import pyarrow as pa

        data = json.dumps(ticket).encode()

        def begin() -> pa.RecordBatchReader:
            file = flight.BatchFile(self._call("DoGet", headers), data)
            try:
                return pa.ipc.open_stream(file)
            except BaseException:
                file.close()
                raise

        return self._again(begin, safe=safe)

    def table(
        self,
        ticket: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        begin: Callable[[pa.Schema], Callable[[int], None]],
        text: memory.Text | None = None,
        writable: bool = False,
    ) -> pa.Table:
        """Reads all rows of a table, from the owner of a directory by way of shared memory where that is possible.

        Args:
            ticket: the ticket.
            headers: the call's headers.
            begin: is given the schema and returns what is told how many more rows have come.
            text: the type in which text would be at hand for the reader, who takes it in its own type too.
            writable: whether the one user of the columns would write into their memory, if it can be written.

        """
        data = json.dumps(ticket).encode()

        def shared() -> pa.Table | None:
            if (directory := self.directory()) is None or (space := memory.open_(directory)) is None:
                return None
            named = {**headers, memory.HEADER: space.name}
            if text is not None:
                named[memory.TEXT] = text
            try:
                return space.read(self._call("DoGet", named), data, begin, writable=writable)
            except LostError:
                raise
            except UnavailableError:  # no memory is left, or no descriptors
                return None
            finally:
                space.close()

        out = self._again(shared, safe=True)
        if out is not None:
            return out
        import pyarrow as pa

        reader = self.get(ticket, headers, safe=True)
        add = begin(reader.schema)
        batches = []
        for b in reader:
            batches.append(b)
            add(b.num_rows)
        return pa.Table.from_batches(batches, reader.schema)

    def put(
        self,
        command: Mapping[str, Any],
        batches: Callable[[], pa.RecordBatchReader],
        headers: Mapping[str, str],
        *,
        safe: bool,
        progress: Callable[[int], None] | None = None,
    ) -> Any:
        """Sends batches and returns the answer."""
        data = json.dumps(command).encode()
        out = self._again(lambda: flight.put(self._call("DoPut", headers), data, batches(), progress), safe=safe)
        return json.loads(out[-1]) if out and out[-1] else {}

    def _again(self, call: Callable[[], Any], *, safe: bool) -> Any:
        for attempt in range(3):
            try:
                return call()
            except LostError as e:
                if not (safe or e.unbegun) or attempt == 2 or self._closed:
                    raise
        return None

    def _call(self, method: str, headers: Mapping[str, str]) -> flight.Call:
        fields = list(headers.items())
        for name, value in fields:
            if any(ord(c) < 32 for c in value):
                raise InvalidError(
                    f"the value of {name.removeprefix('stemma-')} has a line break or another control character: {value!r}"
                )
        if self.address.user is not None:
            pair = f"{self.address.user}:{self.address.password or ''}".encode()
            fields.append(("authorization", "Basic " + base64.b64encode(pair).decode()))
        authority = "localhost" if self.directory() is not None else f"{self.address.host}:{self.address.port}"
        return flight.Call(self._take(), self._give, method, fields, authority)

    def _take(self) -> Connection:
        while True:
            with self._lock:
                if self._closed:
                    raise UnavailableError(f"the connection to {self.address} is closed")
                conn = self._idle.pop() if self._idle else None
            if conn is None:
                conn = Connection(self._dial())
                with self._lock:
                    self._open.add(conn)
                return conn
            if conn.usable():
                return conn
            conn.close()

    def _give(self, conn: Connection, clean: bool) -> None:
        with self._lock:
            if clean and not self._closed and not conn.closing and conn in self._open:
                self._idle.append(conn)
                return
            self._open.discard(conn)
        conn.close()

    def _dial(self) -> socket.socket:
        a = self.address
        if (directory := self.directory()) is not None:
            try:
                return _owner.connect(directory)
            except NotFoundError:
                if a.remote is None:
                    raise
            self._copy = None  # somebody has cleared the cache
            return _owner.connect(str(self.directory()))
        try:
            s = socket.create_connection((a.host, a.port), TIMEOUT)
        except OSError as e:
            raise UnavailableError(
                f"nothing answers at {a.host}:{a.port}: {e.strerror or e}",
                hint="is the server started with 'stemma serve' or 'sql-server --flight-port'?",
            ) from None
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if a.tls:
            s = _secure(s, a)
        return s

    def _forked(self) -> None:
        """Forgets the connections of the process that this one was forked from."""
        self._lock = threading.Lock()
        for c in list(self._open):
            c.close()  # of this process's copy of the socket: nothing is sent
        self._idle = []
        self._open = weakref.WeakSet()


def _secure(s: socket.socket, a: Address) -> socket.socket:
    import ssl

    context = ssl.create_default_context(cafile=a.ca)
    context.set_alpn_protocols(["h2"])
    try:
        return context.wrap_socket(s, server_hostname=a.host)
    except ssl.SSLError as e:
        s.close()
        raise UnavailableError(
            f"{a.host}:{a.port} could not be trusted: {e.reason or e}",
            hint="name the file of its certificate authority: ?ca=/path/to/ca.pem",
        ) from None
    except OSError as e:
        s.close()
        raise UnavailableError(f"{a.host}:{a.port} broke the connection off: {e.strerror or e}") from None


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    for c in list(_clients):
        cast("Any", c)._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
