"""What the tests of doltcli ask of a database."""

from __future__ import annotations

from doltcli import Branch, Dolt

HASH = "0123456789abcdefghijklmnopqrstuv"
GOODS = [{"id": "1", "name": "tea", "price": "3.5"}, {"id": "2", "name": "rye", "price": "1.2"}]


def is_hash(value: str) -> bool:
    return len(value) == 32 and set(value) <= set(HASH)


def text(db: Dolt, *args: str) -> str:
    return db.execute(list(args))


def change(db: Dolt, sql: str, message: str) -> str:
    """Commits a change of tables that there are; returns the commit."""
    db.sql(sql)
    db.execute(["commit", "-am", message])
    return db.head


def messages(db: Dolt) -> list[str]:
    return [c.message for c in db.log().values()]


def names(branches: tuple[Branch, list[Branch]]) -> tuple[str, set[str]]:
    return branches[0].name, {b.name for b in branches[1]}
