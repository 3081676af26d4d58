"""Arrow Flight's calls on an HTTP/2 connection: actions, streams of record batches in and out."""

from __future__ import annotations

import io
import json
import struct
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from stemma._errors import CLASSES, InternalError, StemmaError, from_wire
from stemma._transport.http2 import DATA, HEADERS, RST_STREAM, Connection, LostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pyarrow as pa

SERVICE = "/arrow.flight.protocol.FlightService/"

# The class of a gRPC status that comes without a description of ours, as from a proxy.
STATUS = {
    1: "canceled",
    2: "internal",
    3: "invalid",
    4: "canceled",
    5: "not-found",
    6: "exists",
    7: "denied",
    8: "no-space",
    9: "invalid",
    10: "conflict",
    11: "invalid",
    12: "unsupported",
    13: "internal",
    14: "unavailable",
    15: "corrupt",
    16: "denied",
}
PAD = b"\0" * 8
BATCH_ROWS = 1 << 16


def varint(n: int) -> bytes:
    """Returns a number as protobuf writes it."""
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def read_varint(b: bytes | bytearray | memoryview, at: int) -> tuple[int, int]:
    """Returns the number at a place, and the place behind it."""
    n = shift = 0
    while True:
        c = b[at]
        at += 1
        n |= (c & 127) << shift
        if c < 128:
            return n, at
        shift += 7


def field(number: int, value: bytes) -> bytes:
    """Returns a field of bytes as protobuf writes it."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(message: bytes | memoryview) -> Iterator[tuple[int, bytes | memoryview | int]]:
    """Yields the fields of a message."""
    at = 0
    while at < len(message):
        tag, at = read_varint(message, at)
        match tag & 7:
            case 0:
                n, at = read_varint(message, at)
                yield tag >> 3, n
            case 2:
                n, at = read_varint(message, at)
                yield tag >> 3, message[at : at + n]
                at += n
            case 1:
                at += 8
            case 5:
                at += 4
            case _:
                raise InternalError("the server sent a message that cannot be read")


class Call:
    """One call on a connection. `end` gives the connection back, or closes it when the call did not come to its end."""

    def __init__(
        self,
        conn: Connection,
        release: Callable[[Connection, bool], None],
        method: str,
        headers: Iterable[tuple[str, str]],
        authority: str,
    ) -> None:
        self.conn = conn
        self.done = False
        self._release = release
        self._data = bytearray()
        self._answered = False
        try:
            conn.open(
                [
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":path", SERVICE + method),
                    (":authority", authority),
                    ("te", "trailers"),
                    ("content-type", "application/grpc"),
                    ("user-agent", "stemma-python"),
                    *headers,
                ]
            )
        except BaseException:
            self.end(clean=False)
            raise

    def send(self, message: Iterable[bytes | memoryview], *, last: bool = False) -> bool:
        """Sends a message that is given in pieces. It returns False when the server has answered already."""
        pieces = list(message)
        size = sum(memoryview(p).nbytes for p in pieces)
        return self.conn.send([struct.pack(">BI", 0, size), *pieces], end=last)

    def finish(self) -> None:
        """Says that no message follows."""
        self.conn.send([b""], end=True)

    def message(self) -> memoryview | None:
        """Returns the next message; None when the call has ended well, an error when it has not."""
        head = bytearray(5)
        if not self._fill(memoryview(head)):
            return None
        flag, size = struct.unpack(">BI", head)
        if flag:
            raise InternalError("the server sent a compressed message, which was not asked for")
        body = memoryview(bytearray(size))
        if size and not self._fill(body):
            raise LostError("the server ended a message in the middle")
        return body

    def _fill(self, target: memoryview) -> bool:
        at = 0
        while at < len(target):
            if self._data:
                n = min(len(self._data), len(target) - at)
                target[at : at + n] = self._data[:n]
                del self._data[:n]
                at += n
                continue
            if self._answered:
                n = self.conn.read_into(target[at:])
                if n:
                    at += n
                    continue
            event = self.conn.event()
            if event is None:
                raise LostError("the server ended the call without a status")
            kind, payload = event
            if kind == DATA:
                self._data += payload
            elif kind == HEADERS:
                self._answered = True
                if self._status(dict(self.conn.headers(payload))):
                    if at:
                        raise LostError("the server ended a message in the middle")
                    return False
            elif kind == RST_STREAM:
                code = struct.unpack(">I", payload)[0]
                self.end(clean=True)
                raise LostError(f"the server broke the call off (HTTP/2 error {code})")
        return True

    def _status(self, fields: Mapping[str, str | bytes]) -> bool:
        """Takes in headers; True when they say that the call ended well, an error when it did not."""
        status = fields.get("grpc-status")
        if status is None:
            http = fields.get(":status", "200")
            if http != "200":
                self.end(clean=False)
                raise StemmaHTTPError(str(http))
            return False
        if status == "0":
            self.end(clean=True)
            return True
        self.end(clean=True)
        raise error_of(int(str(status)), fields)

    def end(self, *, clean: bool) -> None:
        """Gives the connection back; not clean closes it, which cancels the call."""
        if not self.done:
            self.done = True
            self._release(self.conn, clean)


class StemmaHTTPError(StemmaError):
    """Something that is no Flight server answered."""

    code = "unavailable"

    def __init__(self, status: str) -> None:
        super().__init__(f"what answers there is not a Flight server (HTTP status {status})", hint="look at the host and the port")


def error_of(status: int, trailer: Mapping[str, str | bytes]) -> StemmaError:
    """Returns the error of a status that is not OK."""
    raw = trailer.get("stemma-error-bin")
    if isinstance(raw, bytes):
        try:
            wire = json.loads(raw)
        except ValueError:
            wire = None
        if isinstance(wire, dict):
            return from_wire(wire)
    message = unquote(str(trailer.get("grpc-message", ""))) or f"gRPC status {status}"
    return CLASSES[STATUS.get(status, "internal")](message)


def action(call: Call, name: str, body: bytes) -> list[bytes]:
    """Does an action and returns its results."""
    try:
        call.send([field(1, name.encode()) + field(2, body)], last=True)
        out = []
        while (message := call.message()) is not None:
            out.append(b"".join(bytes(cast("memoryview", v)) for n, v in fields(message) if n == 1))
    except BaseException:
        call.end(clean=False)
        raise
    return out


def end_of_stream() -> pa.Buffer:
    """Returns the mark that ends a stream of Arrow's IPC format."""
    import pyarrow as pa

    return pa.py_buffer(b"\xff\xff\xff\xff\0\0\0\0")


class Buffers(io.RawIOBase):
    """Buffers one behind the other as a file that Arrow reads without copying; a subclass says which is next."""

    def __init__(self) -> None:
        import pyarrow as pa

        self._buffer: pa.Buffer = pa.py_buffer(b"")
        self._at = 0

    def _next(self) -> None:
        """Makes the next one the buffer."""
        raise NotImplementedError

    def readable(self) -> bool:
        """Reading is all that it can."""
        return True

    def read_buffer(self, n: int) -> pa.Buffer:
        """Returns the next n bytes without copying them: Arrow asks so."""
        if self._at >= self._buffer.size:
            self._at = 0
            self._next()
        out = self._buffer.slice(self._at, min(n, self._buffer.size - self._at))
        self._at += out.size
        return out

    def read(self, n: int = -1) -> bytes:
        """Returns the next n bytes."""
        return bytes(self.read_buffer(n if n >= 0 else 1 << 62))


class BatchFile(Buffers):
    """The messages of a DoGet as a stream of Arrow's IPC format, for `pyarrow.ipc.open_stream`.

    Each message lies in one buffer, so that Arrow's columns are views of what the socket was read into.
    """

    def __init__(self, call: Call, ticket: bytes) -> None:
        import pyarrow as pa

        super().__init__()
        self._pa = pa
        self.call = call
        self.metadata: list[bytes] = []
        try:
            call.send([field(1, ticket)], last=True)
            self._next()
        except BaseException:
            call.end(clean=False)
            raise

    def close(self) -> None:
        """Ends the call, if it has not come to its end."""
        self.call.end(clean=False)
        super().close()

    def _next(self) -> None:
        """Makes the next message the buffer; at the end the mark of the format's end."""
        header = b""
        try:
            while not header:
                if self.call.done:
                    self._buffer = end_of_stream()
                    return
                header, self._buffer = self._message()
        except BaseException:
            self.call.end(clean=False)
            raise

    def _message(self) -> tuple[bytes, pa.Buffer]:
        head = bytearray(5)
        call = self.call
        if not call._fill(memoryview(head)):
            return b"", self._pa.py_buffer(b"")
        size = struct.unpack(">xI", head)[0]
        # The fields before the body are few and short; the body, which is last, goes to where Arrow shall find it.
        first = bytearray(min(size, 256))
        call._fill(memoryview(first))
        at, header, read = 0, b"", len(first)
        while at < size:
            if read - at < 20 and read < size:
                read = self._more(first, size, max(read * 2, 256))
                continue
            tag, behind = read_varint(first, at)
            n, behind = read_varint(first, behind)
            if tag >> 3 == 1000 and header:
                return header, self._body(header, memoryview(first)[behind:], n)
            if behind + n > read:
                read = self._more(first, size, min(size, behind + n + 32))
            part = bytes(first[behind : behind + n])
            at = behind + n
            if tag >> 3 == 2:
                header = part
            elif tag >> 3 == 3:
                self.metadata.append(part)
        return header, self._body(header, memoryview(b""), 0)

    def _more(self, first: bytearray, size: int, want: int) -> int:
        more = bytearray(min(size, want) - len(first))
        self.call._fill(memoryview(more))
        first += more
        return len(first)

    def _body(self, header: bytes, have: memoryview, n: int) -> pa.Buffer:
        """Returns header and body as one message of the IPC format, reading what of the body has not come yet."""
        padded = header + PAD[: -len(header) % 8]
        # The body begins at a multiple of 64 bytes, as Arrow likes its columns.
        skip = -(8 + len(padded)) % 64
        whole = self._pa.allocate_buffer(skip + 8 + len(padded) + n)
        view = memoryview(whole).cast("B")
        view[skip : skip + 8] = struct.pack("<II", 0xFFFFFFFF, len(padded))
        start = skip + 8 + len(padded)
        view[skip + 8 : start] = padded
        view[start : start + len(have)] = have
        if len(have) < n:
            self.call._fill(view[start + len(have) : start + n])
        return whole.slice(skip)


def put(call: Call, command: bytes, reader: pa.RecordBatchReader, progress: Callable[[int], None] | None = None) -> list[bytes]:
    """Sends batches and returns the metadata of the answers."""
    try:
        descriptor = field(1, b"\x08\x02" + field(2, command))
        open_ = True
        for header, body, rows in encoded(reader):
            open_ = call.send(_flight_data(descriptor, header, body))
            descriptor = b""
            if not open_:
                break
            if rows and progress:
                progress(rows)
        if open_:
            call.finish()
        out = []
        while (message := call.message()) is not None:
            out.append(b"".join(bytes(cast("memoryview", v)) for n, v in fields(message) if n == 1))
    except BaseException:
        call.end(clean=False)
        raise
    return out


def _flight_data(descriptor: bytes, header: memoryview, body: memoryview) -> list[bytes | memoryview]:
    return [descriptor + b"\x12" + varint(len(header)), header, b"\xc2\x3e" + varint(len(body)), body]


def encoded(reader: pa.RecordBatchReader) -> Iterator[tuple[memoryview, memoryview, int]]:
    """Yields the messages of a stream: header, body and number of rows. Dictionaries are sent when they change."""
    import pyarrow as pa

    dictionaries = [i for i, f in enumerate(reader.schema) if pa.types.is_dictionary(f.type)]
    yield _split(reader.schema.serialize(), 0)
    last: list[pa.Array] = []
    for whole in reader:
        for at in range(0, whole.num_rows, BATCH_ROWS):
            batch = whole.slice(at, BATCH_ROWS)
            if not dictionaries:
                yield _split(batch.serialize(), batch.num_rows)
                continue
            current = [batch.column(i).dictionary for i in dictionaries]
            changed = not last or any(a is not b and not a.equals(b) for a, b in zip(current, last, strict=True))
            last = current
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as w:
                w.write_batch(batch)
            for message in pa.ipc.MessageReader.open_stream(sink.getvalue()):
                if message.type == "record batch" or (message.type == "dictionary" and changed):
                    yield (
                        memoryview(message.metadata),
                        memoryview(message.body),
                        batch.num_rows if message.type == "record batch" else 0,
                    )


def _split(message: pa.Buffer, rows: int) -> tuple[memoryview, memoryview, int]:
    """Takes an encapsulated message apart."""
    view = memoryview(message)
    n = struct.unpack_from("<I", view, 4)[0]
    return view[8 : 8 + n], view[8 + n :], rows
