"""SQLAlchemy: the schema of a model made and read back, and objects stored and loaded."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import mysql

from server import Server


class Base(orm.DeclarativeBase):
    pass


class Kind(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Shop(Base):
    __tablename__ = "shops"
    __table_args__ = {"comment": "where goods are sold"}
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50), unique=True)
    goods: orm.Mapped[list[Goods]] = orm.relationship(back_populates="shop", cascade="all, delete-orphan", order_by="Goods.code")


class Goods(Base):
    __tablename__ = "goods"
    __table_args__ = (
        sa.Index("by_price", "price", "made"),
        sa.UniqueConstraint("shop_id", "name", name="name_in_shop"),
        sa.CheckConstraint("price >= 0", name="not_negative"),
    )
    shop_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("shops.id", ondelete="CASCADE"), primary_key=True)
    code: orm.Mapped[str] = orm.mapped_column(sa.String(8), primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50))
    price: orm.Mapped[Decimal] = orm.mapped_column(sa.Numeric(12, 4))
    weight: orm.Mapped[float | None] = orm.mapped_column(sa.Double)
    made: orm.Mapped[dt.date | None]
    sold: orm.Mapped[dt.datetime | None] = orm.mapped_column(mysql.DATETIME(fsp=6))
    opens: orm.Mapped[dt.time | None]
    kind: orm.Mapped[Kind] = orm.mapped_column(default=Kind.SMALL)
    facts: orm.Mapped[dict | None] = orm.mapped_column(sa.JSON)
    picture: orm.Mapped[bytes | None] = orm.mapped_column(sa.LargeBinary)
    notes: orm.Mapped[str | None] = orm.mapped_column(sa.Text)
    left: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, server_default="7")
    new: orm.Mapped[bool] = orm.mapped_column(default=True)
    shop: orm.Mapped[Shop] = orm.relationship(back_populates="goods")


@pytest.fixture(params=["pymysql", "mysqlconnector"])
def engine(request: pytest.FixtureRequest, shared: Server, db: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(sa.URL.create(f"mysql+{request.param}", "root", host="127.0.0.1", port=shared.port, database=db))
    yield engine
    engine.dispose()


def tea() -> Goods:
    return Goods(
        code="T1", name="tea 🍵", price=Decimal("3.5000"), weight=0.1, made=dt.date(2024, 2, 29), kind=Kind.LARGE,
        sold=dt.datetime(2024, 3, 1, 12, 30, 15, 678), opens=dt.time(8, 30), facts={"origin": ["Assam", 1.5, None]},
        picture=bytes(range(256)), notes="it's \"good\" 100%\n" * 1000,
    )


def test_objects(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)  # finds the tables and makes none
    with orm.Session(engine) as s:
        s.add(Shop(name="corner", goods=[tea(), Goods(code="R1", name="rye", price=Decimal("1.2"))]))
        s.commit()
    with orm.Session(engine) as s:
        shop = s.scalars(sa.select(Shop).where(Shop.name == "corner")).one()
        rye, t = shop.goods
        want = tea()
        for column in ("code", "name", "price", "weight", "made", "kind", "sold", "opens", "facts", "picture", "notes"):
            assert getattr(t, column) == getattr(want, column), column
        assert (t.left, t.new, rye.weight, rye.kind) == (7, True, None, Kind.SMALL)
        t.price += 1
        shop.goods.remove(rye)
        s.flush()
        s.rollback()
        assert len(shop.goods) == 2, "a rollback takes back what was flushed"
        t.price = Decimal("4.5")
        s.commit()
        assert s.scalar(sa.select(sa.func.sum(Goods.price)).where(Goods.shop_id == shop.id)) == Decimal("5.7")
        s.delete(shop)
        s.commit()
        assert s.scalar(sa.select(sa.func.count()).select_from(Goods)) == 0


def test_errors(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    with orm.Session(engine) as s:
        s.add_all([Shop(name="a"), Shop(name="a")])
        with pytest.raises(sa.exc.IntegrityError):
            s.commit()
    with orm.Session(engine) as s:
        s.add(Goods(shop_id=99, code="x", name="x", price=Decimal(1)))
        with pytest.raises(sa.exc.IntegrityError):
            s.commit()
    with engine.connect() as c, pytest.raises(sa.exc.ProgrammingError):
        c.execute(sa.text("select * from none_such"))


def test_reflection(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    inspector = sa.inspect(engine)
    assert inspector.get_table_names() == ["goods", "shops"]
    assert inspector.get_view_names() == []
    assert inspector.has_table("goods") and not inspector.has_table("none_such")
    assert inspector.get_pk_constraint("goods")["constrained_columns"] == ["shop_id", "code"]
    assert inspector.get_table_comment("shops") == {"text": "where goods are sold"}
    indexes = {i["name"]: (i["column_names"], bool(i["unique"])) for i in inspector.get_indexes("goods")}
    assert indexes["by_price"] == (["price", "made"], False)
    assert indexes["name_in_shop"] == (["shop_id", "name"], True)
    assert [u["column_names"] for u in inspector.get_unique_constraints("shops")] == [["name"]]
    columns = {c["name"]: c for c in inspector.get_columns("goods")}
    types = {n: c["type"].compile(dialect=engine.dialect) for n, c in columns.items()}
    assert types == {
        "shop_id": "INTEGER", "code": "VARCHAR(8)", "name": "VARCHAR(50)", "price": "DECIMAL(12, 4)", "weight": "DOUBLE",
        "made": "DATE", "sold": "DATETIME(6)", "opens": "TIME", "kind": "ENUM('SMALL','LARGE')", "facts": "JSON", "picture": "BLOB",
        "notes": "TEXT", "left": "BIGINT", "new": "TINYINT(1)",
    }
    assert [n for n, c in columns.items() if not c["nullable"]] == ["shop_id", "code", "name", "price", "kind", "left", "new"]
    assert columns["left"]["default"] in ("7", "'7'")
    shops = {c["name"]: c for c in inspector.get_columns("shops")}
    assert shops["id"]["autoincrement"] is True


def test_reflection_of_keys_and_checks(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    inspector = sa.inspect(engine)
    (key,) = inspector.get_foreign_keys("goods")
    assert (key["constrained_columns"], key["referred_table"], key["referred_columns"]) == (["shop_id"], "shops", ["id"])
    assert key["options"] == {"ondelete": "CASCADE"}
    (check,) = inspector.get_check_constraints("goods")
    assert check["name"] == "not_negative" and "price" in check["sqltext"]


def test_reflected_tables_are_of_use(engine: sa.Engine) -> None:
    with engine.begin() as c:
        c.execute(sa.text("create table t (a int, b varchar(20), primary key (a, b), key by_b (b))"))
        c.execute(sa.text("create view v as select a from t"))
    metadata = sa.MetaData()
    metadata.reflect(engine, views=True)
    t = metadata.tables["t"]
    with engine.begin() as c:
        assert c.execute(sa.insert(t), [{"a": i, "b": f"row {i}"} for i in range(1000)]).rowcount == 1000
        assert c.execute(sa.update(t).where(t.c.a < 10).values(b="small")).rowcount == 10
        assert c.execute(sa.select(sa.func.count()).select_from(metadata.tables["v"])).scalar() == 1000
        assert c.execute(sa.delete(t).where(t.c.b == "small")).rowcount == 10
    metadata.drop_all(engine, tables=[t])
    assert sa.inspect(engine).get_table_names() == []


def test_views(engine: sa.Engine) -> None:
    with engine.begin() as c:
        c.execute(sa.text("create table t (a int)"))
        c.execute(sa.text("create view v as select a + 1 as b from t"))
    inspector = sa.inspect(engine)
    assert inspector.get_view_names() == ["v"]
    assert "a + 1" in inspector.get_view_definition("v").replace("`", "")


def test_savepoints(engine: sa.Engine) -> None:
    with engine.begin() as c:
        c.execute(sa.text("create table t (a int primary key)"))
    with engine.begin() as c:
        c.execute(sa.text("insert into t values (1)"))
        with c.begin_nested() as inner:
            c.execute(sa.text("insert into t values (2)"))
            inner.rollback()
        with c.begin_nested():
            c.execute(sa.text("insert into t values (3)"))
    with engine.connect() as c:
        assert c.execute(sa.text("select a from t order by a")).scalars().all() == [1, 3]


def test_isolation_levels(engine: sa.Engine) -> None:
    for level in ("READ COMMITTED", "REPEATABLE READ"):
        with engine.connect().execution_options(isolation_level=level) as c:
            assert c.get_isolation_level() == level
            assert c.execute(sa.text("select 1")).scalar() == 1


def test_streams(engine: sa.Engine) -> None:
    with engine.begin() as c:
        c.execute(sa.text("create table t (a int primary key)"))
        c.execute(sa.text("insert into t values (:a)"), [{"a": i} for i in range(5000)])
    with engine.connect().execution_options(stream_results=True, yield_per=100) as c:
        assert sum(a for (a,) in c.execute(sa.text("select a from t"))) == sum(range(5000))


def test_versions(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    with orm.Session(engine) as s:
        s.add(Shop(name="old"))
        s.commit()
        s.execute(sa.text("call dolt_commit('-Am', :m)"), {"m": "100% old: it's"})
        s.execute(sa.update(Shop).values(name="new"))
        s.commit()
        s.execute(sa.text("call dolt_commit('-am', 'new')"))
        old = s.execute(sa.select(Shop).from_statement(sa.text("select * from shops as of 'HEAD^'"))).scalars().one()
        assert old.name == "old"
        assert s.execute(sa.text("select message from dolt_log limit 2")).scalars().all() == ["new", "100% old: it's"]


def test_engine_for_a_branch(engine: sa.Engine, db: str) -> None:
    with engine.begin() as c:
        c.execute(sa.text("create table t (a int primary key)"))
        c.execute(sa.text("call dolt_commit('-Am', 'a table')"))
        c.execute(sa.text("call dolt_branch('side')"))
    side = sa.create_engine(engine.url.set(database=f"{db}/side"))
    with side.begin() as c:
        c.execute(sa.text("insert into t values (1)"))
    with engine.connect() as c:
        assert c.execute(sa.text("select count(*) from t")).scalar() == 0
    with side.connect() as c:
        assert c.execute(sa.text("select count(*) from t")).scalar() == 1
    assert sa.inspect(side).get_table_names() == ["t"]
    side.dispose()
