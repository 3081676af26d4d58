"""Memory into which the owner of a directory writes what is read: both are on one machine, so that nothing need go through a socket."""

from __future__ import annotations

import functools
import itertools
import json
import mmap
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any, Literal

from stemma import _owner
from stemma._transport import flight, spare
from stemma._transport.http2 import LostError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

HEADER = "stemma-memory"
"""The header of a read that names the memory."""

TEXT = "stemma-memory-text"
"""The header of a read that says how text is laid out in the memory."""

Text = Literal["large_utf8", "utf8_view"]

_note = struct.Struct("<QQQ")


class Memory:
    """Files of memory that the owner of a directory makes for one read. They live until the columns that are views of them are gone."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self.name = name
        self._socket = connection
        self._offered: list[spare.File] = []

    def close(self) -> None:
        """Ends the owner's part in it; columns stay."""
        self._socket.close()
        while self._offered:  # the owner may still write into it
            self._offered.pop().close()

    def read(
        self, call: flight.Call, ticket: bytes, begin: Callable[[pa.Schema], Callable[[int], None]], *, writable: bool = False
    ) -> pa.Table | None:
        """Reads all that a ticket means; None when this process cannot have the memory.

        Args:
            call: the call of DoGet, whose header names this memory.
            ticket: the ticket.
            begin: is given the schema and returns what is told how many more rows have come.
            writable: whether the memory of columns may be written into, by their one user.

        """
        parts: list[Any] = []  # pieces of a stream of the IPC format: bytes, or where in the file
        end = told = 0
        layout: Any = None
        schema: pa.Schema | None = None
        try:
            self._offer()
            call.send([flight.field(1, ticket)], last=True)
            import pyarrow as pa  # while the owner reads

            add: Callable[[int], None] = _nobody
            while (message := call.message()) is not None:
                header, note, body = _data(message)
                now = told
                if header:
                    padded = header + flight.PAD[: -len(header) % 8]
                    framed = struct.pack("<II", 0xFFFFFFFF, len(padded)) + padded
                    parts.append(framed)
                    if schema is None:
                        schema = pa.ipc.read_schema(pa.py_buffer(framed))
                        add = begin(schema)
                    if note:
                        at, size, now = _note.unpack(note)
                        parts.append((at, size))
                        end = max(end, at + size)
                    elif body:
                        parts.append(body)
                elif note:
                    said = json.loads(note)
                    now = said["rows"]
                    if "columns" in said:
                        layout = said
                add(now - told)
                told = now
        except BaseException:
            call.end(clean=False)
            raise
        try:
            if layout is not None and schema is not None:
                return self._columns(schema, layout, writable=writable)
            whole = self._map([end], writable=False)[0].buffer(0, end) if end else pa.py_buffer(b"")
        except OSError:  # no descriptors or no address space are left
            return None
        pieces = [whole.slice(*p) if isinstance(p, tuple) else pa.py_buffer(p) for p in parts]
        table = pa.ipc.open_stream(Pieces(pieces)).read_all()
        add(table.num_rows - told)
        return table

    def _offer(self) -> None:
        """Offers the owner files that nobody has mapped any more, to write into."""
        spare.watch()
        spare.take(self._offered)
        if not self._offered:
            return
        try:
            socket.send_fds(self._socket, [b"\0"], [f.file for f in self._offered])
            taken = self._socket.recv(1)
        except OSError:
            taken = b""
        if not taken:
            raise LostError("the owner ended, or takes no files, before it was asked for what is read")

    def _columns(self, schema: pa.Schema, layout: dict[str, Any], *, writable: bool) -> pa.Table:
        """Returns the columns that the owner has laid out."""
        import pyarrow as pa

        columns = layout["columns"]
        spaces = self._map([c["size"] for c in columns], writable=writable)
        arrays = [_column(f.type, layout["rows"], c, m) for f, c, m in zip(schema, columns, spaces, strict=True)]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _map(self, sizes: list[int], *, writable: bool) -> list[Mapping]:
        """Returns the files that the owner gives, of these sizes in bytes, mapped."""
        files: list[int] = []
        try:
            said, files, flags, _ = socket.recv_fds(self._socket, 1, len(sizes), socket.MSG_CMSG_CLOEXEC)
            if not said:
                raise LostError("the owner ended before it gave the memory that was read into")
            if flags & socket.MSG_CTRUNC or len(files) != len(sizes):
                raise OSError("descriptors were lost on the way")
            for file, size in zip(files, sizes, strict=True):
                if os.fstat(file).st_size < size:
                    raise LostError("the memory that was read into is shorter than the owner says")
            written = {spare.node(file) for file in files}
            while self._offered:
                f = self._offered.pop()
                if f.node in written:
                    f.close()
                else:
                    spare.back(f)
            return [Mapping(file, size, writable=writable) for file, size in zip(files, sizes, strict=True)]
        finally:
            for file in files:
                os.close(file)


def _data(message: memoryview) -> tuple[bytes, bytes, memoryview]:
    """Returns header, note and body of a message of DoGet."""
    header, note, body = b"", b"", memoryview(b"")
    for number, value in flight.fields(message):
        match number, value:
            case 2, memoryview():
                header = bytes(value)
            case 3, memoryview():
                note = bytes(value)
            case 1000, memoryview():
                body = value
    return header, note, body


def _nobody(_: int) -> None:
    """Is told how many rows have come before anybody wants to know."""


_give = spare.give  # what a destructor calls is at hand even when modules end


class Mapping:
    """A file of memory in this process's space. What is written into it is the process's own. It ends with its last view."""

    def __init__(self, file: int, size: int, *, writable: bool) -> None:
        self.size = size
        self._unmap = _libc().munmap
        self._writable = writable
        mapped, self._file = spare.own(file, size)
        try:
            self.address = _map(mapped, size, writable=writable)
        finally:
            if mapped != file:
                os.close(mapped)

    def __del__(self) -> None:
        if address := getattr(self, "address", 0):
            self._unmap(address, self.size)
        if (file := getattr(self, "_file", None)) is not None:
            _give(file)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The memory as an array of NumPy, as that wants to be told."""
        return {"version": 3, "shape": (self.size,), "typestr": "|u1", "data": (self.address, not self._writable)}

    def buffer(self, at: int, size: int) -> pa.Buffer:
        """Returns a part of it as a buffer of Arrow."""
        import pyarrow as pa

        if not self._writable:
            return pa.foreign_buffer(self.address + at, size, self)
        import numpy as np

        return pa.py_buffer(np.asarray(self)[at : at + size])


@functools.cache
def _libc() -> Any:
    """Returns the C library: Python's own mmap keeps a descriptor for as long as the memory is mapped."""
    import ctypes

    c = ctypes.CDLL(None, use_errno=True)
    c.mmap.restype = ctypes.c_void_p
    c.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    c.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return c


def _map(file: int, size: int, *, writable: bool) -> int:
    """Maps a file and returns where."""
    import ctypes

    # Private, so that a process and the one it was forked from do not write into each other's frames.
    access = mmap.PROT_READ | mmap.PROT_WRITE if writable else mmap.PROT_READ
    address = _libc().mmap(None, size, access, mmap.MAP_PRIVATE, file, 0)
    if address is None or address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "memory cannot be mapped")
    return int(address)


def _column(kind: pa.DataType, rows: int, layout: dict[str, Any], space: Mapping) -> pa.ChunkedArray:
    """Returns the column that is laid out in a space, as a view of that."""
    import pyarrow as pa

    t = pa.types
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    nulls, values, text = layout["nulls"], layout["values"], layout["text"]
    valid = space.buffer(0, (rows + 7) // 8) if nulls else None
    pieces: list[tuple[int, int]] = layout["pieces"] or []
    starts = [at for _, at in pieces] + [layout["size"] - text]
    chunks: list[Any] = []
    if t.is_string_view(storage):
        texts = [space.buffer(text + a, b - a) for a, b in itertools.pairwise(starts)]
        chunks.append(pa.Array.from_buffers(storage, rows, [valid, space.buffer(values, rows * 16), *texts], nulls))
    elif pieces:
        width = 8 if t.is_large_string(storage) or t.is_large_binary(storage) else 4
        firsts = [first for first, _ in pieces] + [rows]
        for k, (first, behind) in enumerate(itertools.pairwise(firsts)):
            offsets = space.buffer(values + k * width, (behind + 1) * width)
            data = space.buffer(text + starts[k], starts[k + 1] - starts[k])
            known = nulls if len(pieces) == 1 else -1
            chunks.append(pa.Array.from_buffers(storage, behind - first, [valid, offsets, data], known, first))
    elif t.is_fixed_size_list(storage):
        n = rows * storage.list_size
        child = pa.Array.from_buffers(storage.value_type, n, [None, space.buffer(values, n * storage.value_type.bit_width // 8)], 0)
        chunks.append(pa.Array.from_buffers(storage, rows, [valid], nulls, children=[child]))
    elif t.is_dictionary(storage):
        size = rows * storage.index_type.bit_width // 8
        indices = pa.Array.from_buffers(storage.index_type, rows, [valid, space.buffer(values, size)], nulls)
        names = pa.array(layout["dictionary"] or [], storage.value_type)
        chunks.append(pa.DictionaryArray.from_arrays(indices, names, safe=False))
    else:
        size = (rows * storage.bit_width + 7) // 8
        chunks.append(pa.Array.from_buffers(storage, rows, [valid, space.buffer(values, size)], nulls))
    if storage is not kind:
        chunks = [pa.ExtensionArray.from_storage(kind, c) for c in chunks]
    return pa.chunked_array(chunks, kind)


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
    """Returns memory that the owner of a directory shares; None where that is not possible."""
    if not sys.platform.startswith("linux") or os.environ.get("STEMMA_SHARED_MEMORY") == "0":
        return None
    connection = None
    name = b""
    try:
        connection = _owner.connect(directory)
        connection.sendall(b"columns\n")
        name = connection.recv(100)
    except OSError:  # an older owner hangs up
        pass
    if connection is not None and name.endswith(b"\n"):
        return Memory(connection, name.decode("ascii").strip())
    if connection is not None:
        connection.close()
    return None
