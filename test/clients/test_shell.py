"""The program's own shell on a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import time
from pathlib import Path

from server import binary, environment

CURSOR_QUERY = b"\x1b[6n"


def on_terminal(directory: Path, typed: list[tuple[float, bytes]], enough: bytes, seconds: float = 30) -> bytes:
    """What the shell writes on a terminal, where a user types at times in seconds from the start, until it has written enough."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(directory)
        os.execve(binary(), ["stemma", "sql"], environment(directory.parent) | {"TERM": "xterm", "STEMMA_HOME": str(directory.parent / "home")})
    out, start, asked, answer = b"", time.monotonic(), 0, 0.0
    try:
        while enough not in out and time.monotonic() < start + seconds:
            if select.select([terminal], [], [], 0.005)[0]:
                try:
                    out += os.read(terminal, 1 << 16)
                except OSError:
                    break  # the shell has ended
            if out.count(CURSOR_QUERY) > asked:
                asked += 1
                answer = time.monotonic() + 0.05
            if answer > time.monotonic():
                continue
            keys = b""
            while typed and time.monotonic() >= start + typed[0][0]:
                keys += typed.pop(0)[1]
            if answer:  # a terminal far away answers together with what was typed meanwhile
                keys, answer = keys + b"\x1b[5;10R", 0.0
            if keys:
                os.write(terminal, keys)
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", out)


def test_what_is_typed_ahead_is_not_lost(repository: Path) -> None:
    """A user types while a statement runs, and while the shell starts."""
    statements = b"".join(b"select concat('row', 1000 + %d);\r" % i for i in range(20)) + b"exit\r"
    keys = [(1.7 + i / 500, bytes([key])) for i, key in enumerate(statements)]
    out = on_terminal(repository, [(0, b"select concat('row', 999);\r"), (1.5, b"select sleep(0.5);\r"), *keys], b"Bye")
    shown = {int(n) for n in re.findall(rb"\| row(\d+) ", out)}
    assert shown == set(range(999, 1020))


def test_what_follows_a_completed_word_leaves_it_whole(repository: Path) -> None:
    """A word is completed with the tabulator and the statement goes on behind it."""
    keys = [(1.5, b"create table customers (id int primary key, named int);\r"), (2.5, b"insert into customers values (4711, 1);\r"),
            (3.5, b"select id from customer"), (4.2, b"\t"), (5, b";\r"), (6, b"exit\r")]
    out = on_terminal(repository, keys, b"Bye")
    assert b"| 4711 |" in out, out


def test_the_delimiter_can_be_changed(repository: Path) -> None:
    """DELIMITER holds for the lines that come later, as in MySQL's client."""
    keys = [(1.5, b"delimiter //\r"), (2, b"select concat('row', 1)\r//\r"), (2.8, b"select concat('row', 2)//\r"), (3.5, b"delimiter ;\r"),
            (4, b"select concat('row', 3);\r"), (5, b"exit;\r")]
    out = on_terminal(repository, keys, b"Bye")
    assert set(re.findall(rb"\| row(\d) ", out)) == {b"1", b"2", b"3"}, out
