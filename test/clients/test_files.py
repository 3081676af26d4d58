"""CALL stemma_load and stemma_export: files of the server, for those who may."""

from __future__ import annotations

from pathlib import Path

import pymysql
import pytest

from server import Server


def test_load_and_export(server: Server) -> None:
    with server.connect("shop") as c, c.cursor() as cur:
        cur.execute("select @@secure_file_priv")
        (directory,) = cur.fetchone()
        at = Path(directory)
        at.mkdir(exist_ok=True)
        (at / "goods.csv").write_text("id,name\n1,apple\n2,pear\n")
        cur.execute("call stemma_load('-c', '--pk', 'id', 'goods', 'goods.csv')")
        assert cur.fetchall() == ((2, 2, 0, 0, 0),)
        cur.execute("call stemma_export('goods', 'goods.parquet')")
        assert cur.fetchall() == ((2,),)
        assert (at / "goods.parquet").read_bytes()[:4] == b"PAR1"
        cur.execute("call stemma_load('-c', 'again', 'goods.parquet')")
        cur.execute("show create table again")
        assert "PRIMARY KEY (`id`)" in cur.fetchone()[1]
        (at / "link.csv").symlink_to("/etc/passwd")
        for name in ("../passwd.csv", "/etc/passwd", "link.csv"):
            with pytest.raises(pymysql.MySQLError, match="the only directory whose files may be named here"):
                cur.execute("call stemma_load('-c', '--file-type', 'csv', 'stolen', %s)", (name,))
        cur.execute("create user loader identified by 'pw'")
        cur.execute("grant all on shop.* to loader")
    with server.connect(user="loader", password="pw", database="shop") as c, c.cursor() as cur:
        with pytest.raises(pymysql.MySQLError, match="denied"):
            cur.execute("call stemma_load('-c', 'mine', 'goods.csv')")
    with server.connect() as c, c.cursor() as cur:
        cur.execute("grant execute on procedure shop.stemma_load to loader")
    with server.connect(user="loader", password="pw", database="shop") as c, c.cursor() as cur:
        cur.execute("call stemma_load('-c', 'mine', 'goods.csv')")
        assert cur.fetchall() == ((2, 2, 0, 0, 0),)
