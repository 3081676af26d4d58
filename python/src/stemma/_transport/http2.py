"""HTTP/2 as a client of gRPC needs it: one call at a time on a connection.

The client library of gRPC keeps threads of its own, which a forked process does not have: its next call hangs for ever. Data loaders and
`multiprocessing` fork, so that stemma speaks HTTP/2 itself. A connection is used by one thread for one call; a pool has as many as there
are calls at once.
"""

from __future__ import annotations

import select
import socket
import struct
from typing import TYPE_CHECKING, Any, cast

from hpack import Decoder

from stemma._errors import UnavailableError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Sequence

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW = (1 << 31) - 1
FRAME = 1 << 14
"""The longest payload that every peer takes."""
OWN_FRAME = 1 << 20
"""The longest payload that we take."""

PATIENCE = 2e6
"""Seconds that a socket waits: for ever. With a limit Python waits in poll, which a signal ends even where a handler, such as that of Polars,
has recv and send go on after it."""

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32

_head = struct.Struct(">HBBBI")


class LostError(UnavailableError):
    """The connection ended before the call did. Unbegun says that the server has not begun to carry it out."""

    unbegun = False


def unbegun(message: str) -> LostError:
    """Returns the error of a call that the server has not begun to carry out."""
    e = LostError(message)
    e.unbegun = True
    return e


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Returns a frame as bytes."""
    n = len(payload)
    return _head.pack(n >> 8, n & 255, kind, flags, stream) + payload


def literal(name: str, value: str | bytes) -> bytes:
    """Returns a header field of HPACK that is kept in no table."""
    v = value.encode() if isinstance(value, str) else value
    n = name.encode()
    return b"\0" + _length(len(n)) + n + _length(len(v)) + v


def _length(n: int) -> bytes:
    if n < 127:
        return bytes((n,))
    out = bytearray((127,))
    n -= 127
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


class Connection:
    """A connection to a server, with at most one stream open.

    After any exception the connection is not to be used again but closed.
    """

    def __init__(self, sock: socket.socket | ssl.SSLSocket) -> None:
        self.sock = sock
        sock.settimeout(PATIENCE)
        self.closing = False
        self._stream = -1
        self._buf = bytearray(OWN_FRAME + (1 << 16))
        self._view = memoryview(self._buf)
        self._lo = self._hi = 0
        self._decoder = Decoder()
        self._peer_window = 65535  # of the connection
        self._peer_initial = 65535  # of a new stream
        self._peer_frame = FRAME
        self._stream_window = 0
        self._taken = 0
        self._ended = True
        self._heard = False  # whether the server speaks HTTP/2
        self._pending: list[tuple[int, bytes]] = []
        settings = struct.pack(">HIHIHI", 2, 0, 4, WINDOW, 5, OWN_FRAME)
        self._send([PREFACE, frame(SETTINGS, 0, 0, settings), frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - 65535))])

    def close(self) -> None:
        """Closes the connection; a call that is under way is cancelled."""
        self.sock.close()

    def __del__(self) -> None:
        if hasattr(self, "sock"):
            self.sock.close()

    def usable(self) -> bool:
        """Tells whether another call can be made, having taken in what the server said meanwhile."""
        try:
            while not self.closing and self._readable():
                if self._whole():
                    self._control(*self._take())
                elif not self._fill():
                    return False
        except OSError:
            return False
        return not self.closing

    def open(self, fields: Iterable[tuple[str, str | bytes]]) -> None:
        """Begins a call with these header fields."""
        self._stream += 2
        if self._stream >= 1 << 30:
            self.closing = True
        self._stream_window = self._peer_initial
        self._ended = False
        self._pending = []
        block = b"".join(literal(n, v) for n, v in fields)
        kind, out = HEADERS, []
        while len(block) > FRAME:
            out.append(frame(kind, 0, self._stream, block[:FRAME]))
            kind, block = CONTINUATION, block[FRAME:]
        out.append(frame(kind, END_HEADERS, self._stream, block))
        self._send(out)

    def send(self, pieces: Sequence[bytes | memoryview], *, end: bool = False) -> bool:
        """Sends pieces of data, waiting where the server's windows are full. It returns False when the server has answered already."""
        out: list[bytes | memoryview] = []
        size = 0
        for i, piece in enumerate(pieces):
            view, at = memoryview(piece).cast("B"), 0
            last = end and i == len(pieces) - 1
            while at < len(view) or (last and at == 0 and not len(view)):
                room = min(len(view) - at, self._peer_frame, self._stream_window, self._peer_window)
                if room <= 0 and len(view):
                    self._send(out)
                    out, size = [], 0
                    if not self._wait_window():
                        return False
                    continue
                done = at + room >= len(view)
                out.append(_head.pack(room >> 8, room & 255, DATA, END_STREAM if last and done else 0, self._stream))
                out.append(view[at : at + room])
                at += room
                size += room
                self._stream_window -= room
                self._peer_window -= room
                if size >= 1 << 20:
                    self._send(out)
                    out, size = [], 0
                if done:
                    break
        self._send(out)
        while not self._ended and self._readable():
            if not self._pump():
                return False
        return not self._ended

    def cancel(self) -> None:
        """Gives the call up."""
        if not self._ended:
            self._ended = True
            self._send([frame(RST_STREAM, 0, self._stream, struct.pack(">I", 8))])

    def event(self) -> tuple[int, bytes] | None:
        """Returns the next thing that the server says in the call: (HEADERS, block), (DATA, payload), (RST_STREAM, code); None at the end."""
        while True:
            if self._pending:
                return self._pending.pop(0)
            if self._ended:
                return None
            self._pump()

    def headers(self, block: bytes) -> list[tuple[str, str | bytes]]:
        """Returns the fields of a block of headers; those whose name ends in -bin as bytes."""
        out: list[tuple[str, str | bytes]] = []
        for name, value in self._decoder.decode(block, raw=True):
            n = bytes(name).decode("ascii", "replace")
            if n.endswith("-bin"):
                import base64

                raw = bytes(value)
                out.append((n, base64.b64decode(raw + b"=" * (-len(raw) % 4))))
            else:
                out.append((n, bytes(value).decode("utf-8", "replace")))
        return out

    def read_into(self, target: memoryview) -> int:
        """Fills target with data of the call as far as what comes is data without gaps, and returns how much it was: 0 says to use event."""
        done = 0
        while done < len(target) and not self._pending and not self._ended:
            if not self._have(9):
                break
            high, low, kind, flags, stream = _head.unpack_from(self._buf, self._lo)
            n = high << 8 | low
            if kind != DATA or stream != self._stream or flags or n > len(target) - done:
                break
            self._lo += 9
            have = min(n, self._hi - self._lo)
            target[done : done + have] = self._view[self._lo : self._lo + have]
            self._lo += have
            done += have
            left = n - have
            while left:
                got = self._receive(target[done : done + left])
                if not got:
                    raise self._lost("the server hung up")
                done += got
                left -= got
            self._took(n)
        return done

    # --- below: frames

    def _send(self, pieces: Sequence[bytes | memoryview]) -> None:
        try:
            if not pieces:
                return
            small = sum(len(p) for p in pieces)
            if small <= FRAME * 4 or not hasattr(self.sock, "sendmsg") or _is_tls(self.sock):
                self.sock.sendall(b"".join(pieces))
                return
            rest = list(pieces)
            while rest:
                sent = self.sock.sendmsg(rest[:512])  # type: ignore[arg-type]
                at = 0
                while at < len(rest) and sent >= len(rest[at]):
                    sent -= len(rest[at])
                    at += 1
                rest = rest[at:]
                if sent and rest:
                    rest[0] = memoryview(rest[0])[sent:]
        except OSError as e:
            # What the server said before it hung up may be the reason.
            if not self._drain():
                raise self._lost(f"the connection to the server broke: {e.strerror or e}") from e

    def _drain(self) -> bool:
        """Takes in what the server said before it hung up; tells whether that ended the call."""
        try:
            while not self._ended:
                if self._whole():
                    self._control(*self._take())
                elif not self._fill():
                    break
        except OSError:
            pass
        return self._ended

    def _readable(self) -> bool:
        if self._whole():
            return True
        if _is_tls(self.sock) and cast("Any", self.sock).pending():
            return True
        if hasattr(select, "poll"):
            p = select.poll()
            p.register(self.sock, select.POLLIN)
            return bool(p.poll(0))
        return bool(select.select([self.sock], [], [], 0)[0])

    def _fill(self) -> bool:
        """Reads more from the socket; False at its end."""
        if self._lo == self._hi:
            self._lo = self._hi = 0
        elif self._hi == len(self._buf):
            left = bytes(self._view[self._lo : self._hi])
            self._view[: len(left)] = left
            self._lo, self._hi = 0, len(left)
        n = self._receive(self._view[self._hi :])
        self._hi += n
        return n > 0

    def _receive(self, target: memoryview) -> int:
        try:
            return self.sock.recv_into(target)
        except OSError as e:
            raise self._lost(f"the connection to the server broke: {e.strerror or e}") from e

    def _have(self, n: int) -> bool:
        """Tells whether n bytes are in the buffer, having waited for them; LostError when the server hung up."""
        while self._hi - self._lo < n:
            if not self._fill():
                raise self._lost("the server hung up")
        return True

    def _lost(self, message: str) -> LostError:
        """Returns the error of a connection that broke. A server that never spoke HTTP/2 may be one of another protocol."""
        if self._heard or self.sock.family == getattr(socket, "AF_UNIX", None):
            return LostError(message)
        return LostError(
            message, hint="is it the port of Arrow Flight, and not that of MySQL's protocol? With TLS the scheme is grpc+tls"
        )

    def _whole(self) -> bool:
        """Tells whether a whole frame is in the buffer."""
        if self._hi - self._lo < 9:
            return False
        high, low = struct.unpack_from(">HB", self._buf, self._lo)
        n: int = high << 8 | low
        return self._hi - self._lo >= 9 + n

    def _take(self) -> tuple[int, int, int, bytes]:
        high, low, kind, flags, stream = _head.unpack_from(self._buf, self._lo)
        n = high << 8 | low
        payload = bytes(self._view[self._lo + 9 : self._lo + 9 + n])
        self._lo += 9 + n
        return kind, flags, stream & WINDOW, payload

    def _pump(self) -> bool:
        """Takes in one frame, having waited for it; False when the call is ended by it."""
        while not self._whole():
            if not self._fill():
                raise self._lost("the server hung up")
        self._control(*self._take())
        return not self._ended

    def _wait_window(self) -> bool:
        """Waits for room in the server's windows; False when it ended the call instead."""
        while self._stream_window <= 0 or self._peer_window <= 0:
            if not self._pump():
                return False
        return True

    def _took(self, n: int) -> None:
        """Counts data that has been taken in and opens our windows again in time."""
        self._taken += n
        if self._taken >= WINDOW // 4:
            more = struct.pack(">I", self._taken)
            self._taken = 0
            out = [frame(WINDOW_UPDATE, 0, 0, more)]
            if not self._ended:
                out.append(frame(WINDOW_UPDATE, 0, self._stream, more))
            self._send(out)

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind in {DATA, HEADERS} and flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        if kind == HEADERS:
            if flags & PRIORITY:
                payload = payload[5:]
            while not flags & END_HEADERS:
                while not self._whole():
                    if not self._fill():
                        raise self._lost("the server hung up")
                _, more, _, rest = self._take()
                payload += rest
                flags |= more & END_HEADERS
        self._heard = self._heard or kind == SETTINGS
        match kind:
            case 0 | 1 if stream == self._stream and not self._ended:
                self._pending.append((kind, payload))
                if kind == DATA:
                    self._took(len(payload))
                if flags & END_STREAM:
                    self._ended = True
            case 1:
                self._decoder.decode(payload, raw=True)  # keeps the table of names in step
            case 3 if stream == self._stream and not self._ended:
                self._pending.append((RST_STREAM, payload))
                self._ended = True
            case 4 if not flags & ACK:
                self._settings(payload)
            case 6 if not flags & ACK:
                self._send([frame(PING, ACK, 0, payload)])
            case 7:
                self.closing = True
                if struct.unpack_from(">I", payload)[0] & WINDOW < self._stream and not self._ended:
                    raise unbegun("the server is going away")
            case 8:
                n = struct.unpack(">I", payload)[0] & WINDOW
                if stream == 0:
                    self._peer_window += n
                elif stream == self._stream:
                    self._stream_window += n

    def _settings(self, payload: bytes) -> None:
        for key, value in struct.iter_unpack(">HI", payload):
            if key == 4:
                self._stream_window += value - self._peer_initial
                self._peer_initial = value
            elif key == 5:
                self._peer_frame = min(value, OWN_FRAME)
            elif key == 1:
                pass  # the table of names is the server's own affair: we add nothing to it
        self._send([frame(SETTINGS, ACK, 0)])


def _is_tls(sock: object) -> bool:
    return hasattr(sock, "pending")
