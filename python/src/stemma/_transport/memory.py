"""Memory into which the owner of a directory writes what is read: both are on one machine, so that nothing need go through a socket."""

from __future__ import annotations

import mmap
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from stemma import _owner
from stemma._transport import flight

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

HEADER = "stemma-memory"
"""The header of a read that names the memory."""

MOST = 400
"""The number of a descriptor from which on none is taken for memory: each frame that is kept has one, and a process has about a thousand."""

_note = struct.Struct("<QQQ")


class Memory:
    """A file of memory that the owner of a directory writes one read into. It lives until the columns that are views of it are gone."""

    def __init__(self, file: int, connection: socket.socket, name: str) -> None:
        self.name = name
        self._file = file
        self._socket = connection

    def close(self) -> None:
        """Ends the owner's part in it; columns stay."""
        self._socket.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def read(self, call: flight.Call, ticket: bytes, begin: Callable[[pa.Schema], Callable[[int], None]]) -> pa.Table:
        """Reads all that a ticket means. Begin is given the schema and returns what is told how many more rows have come."""
        import pyarrow as pa

        parts: list[Any] = []  # pieces of a stream of the IPC format: bytes, or where in the file
        end = told = 0
        try:
            call.send([flight.field(1, ticket)], last=True)
            add = None
            while (message := call.message()) is not None:
                header, note, body = b"", b"", memoryview(b"")
                for number, value in flight.fields(message):
                    match number, value:
                        case 2, memoryview():
                            header = bytes(value)
                        case 3, memoryview():
                            note = bytes(value)
                        case 1000, memoryview():
                            body = value
                if not header:
                    continue
                padded = header + flight.PAD[: -len(header) % 8]
                framed = struct.pack("<II", 0xFFFFFFFF, len(padded)) + padded
                parts.append(framed)
                if note:
                    at, size, now = _note.unpack(note)
                    parts.append((at, size))
                    end = max(end, at + size)
                    if add is not None:
                        add(now - told)
                        told = now
                elif body:
                    parts.append(body)
                if add is None:
                    add = begin(pa.ipc.read_schema(pa.py_buffer(framed)))
        except BaseException:
            call.end(clean=False)
            raise
        whole = pa.py_buffer(mmap.mmap(self._file, end, mmap.MAP_SHARED, mmap.PROT_READ) if end else b"")
        pieces = [whole.slice(*p) if isinstance(p, tuple) else pa.py_buffer(p) for p in parts]
        table = pa.ipc.open_stream(Pieces(pieces)).read_all()
        if add is not None:
            add(table.num_rows - told)
        return table


class Pieces(flight.Buffers):
    """Buffers one behind the other, as a stream of Arrow's IPC format."""

    def __init__(self, pieces: list[pa.Buffer]) -> None:
        super().__init__()
        self._pieces = iter(pieces)

    def _next(self) -> None:
        for piece in self._pieces:
            if piece.size:
                self._buffer = piece
                return
        self._buffer = flight.end_of_stream()


def open_(directory: str) -> Memory | None:
    """Returns memory that is shared with the owner of a directory; None where that is not possible."""
    if not hasattr(os, "memfd_create") or os.environ.get("STEMMA_SHARED_MEMORY") == "0":
        return None
    file = os.memfd_create("stemma", os.MFD_CLOEXEC)
    connection, name = None, ""
    try:
        if file <= MOST:
            connection = _owner.connect(directory)
            name = _shared(connection, file)
    except OSError:  # an older owner hangs up, a sandbox forbids descriptors
        name = ""
    finally:
        if not name:
            os.close(file)
            if connection is not None:
                connection.close()
    return Memory(file, connection, name) if name and connection is not None else None


def _shared(s: socket.socket, file: int) -> str:
    """Sends a file's descriptor and returns its name; "" when the owner does not want it."""
    s.sendall(b"memory\n")
    if s.recv(5) != b"send\n":
        return ""
    socket.send_fds(s, [b"\0"], [file])
    name = s.recv(100)
    return name.decode("ascii").strip() if name.endswith(b"\n") else ""
