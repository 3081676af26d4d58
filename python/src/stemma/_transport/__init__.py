"""How calls reach a database: Flight over HTTP/2, spoken on a socket of our own."""

from __future__ import annotations
