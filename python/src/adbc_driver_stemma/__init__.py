"""ADBC for stemma: Arrow's driver of Flight SQL, told where a stemma database is.

`adbc_driver_stemma.dbapi.connect` is what pandas, Polars and others want. The driver is written in Go: a process that has used it cannot
fork and go on using it in the child; `stemma.connect` can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import adbc_driver_flightsql
import adbc_driver_manager

from stemma import _address, _owner
from stemma._errors import InvalidError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

__version__ = "1.0.0"
"""The version of the interface: from 0.8 on Polars writes to tables of a schema."""

__all__ = ["__version__", "connect", "options"]

HEADER = "adbc.flight.sql.rpc.call_header."


def options(uri: str | os.PathLike[str], db_kwargs: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the options of the driver for a path or URI of stemma. The owner of a directory is started when there is none."""
    a = _address.parse(uri)
    out: dict[str, str] = {"adbc.flight.sql.client_option.with_max_msg_size": str(1 << 30)}
    if a.directory is not None:
        _owner.connect(a.directory).close()
        out["uri"] = f"grpc+unix://{_owner.socket_path(a.directory)}"
    else:
        host = f"[{a.host}]" if ":" in a.host else a.host
        out["uri"] = f"{'grpc+tls' if a.tls else 'grpc+tcp'}://{host}:{a.port}"
    if a.user is not None:
        out["username"] = a.user
        out["password"] = a.password or ""
    if a.ca is not None:
        from pathlib import Path

        out["adbc.flight.sql.client_option.tls_root_certs"] = Path(a.ca).read_text()
    for name, value in (("database", a.database), ("branch", a.branch), ("ref", a.ref)):
        if value is not None:
            out[f"{HEADER}stemma-{name}"] = value
    for name, value in (db_kwargs or {}).items():
        if name.startswith("stemma."):
            if name.removeprefix("stemma.") not in {
                "database",
                "branch",
                "ref",
                "author",
                "run",
                "primary_key",
                "mode",
                "write_id",
                "message",
            }:
                raise InvalidError(
                    f"there is no option {name!r}",
                    hint="stemma.branch, stemma.ref, stemma.primary_key and others are headers of calls",
                )
            out[f"{HEADER}{name.replace('.', '-', 1).replace('_', '-')}"] = value
        else:
            out[name] = value
    return out


def connect(uri: str | os.PathLike[str], db_kwargs: Mapping[str, str] | None = None) -> adbc_driver_manager.AdbcDatabase:
    """Returns ADBC's database for a path or URI of stemma.

    Args:
        uri: what `stemma.connect` takes: a path, `stemma://host:port/database@ref`.
        db_kwargs: options of the driver, and `stemma.branch`, `stemma.ref`, `stemma.author`, `stemma.run`, `stemma.primary_key`, `stemma.message`.

    """
    driver = adbc_driver_flightsql._driver_path()
    return adbc_driver_manager.AdbcDatabase(driver=driver, **options(uri, db_kwargs))
