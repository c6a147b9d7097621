"""What the page about databases says; its parts about Alembic with Alembic itself."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import __version__ as alembic_version
from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from packaging.version import Version
from sqlalchemy import create_engine, inspect, text

from paytechuz.integrations.fastapi import run_migrations
from tests.docs.conftest import TutorialShop
from tests.docs.pages import DOCS, Block, blocks

PAGE = DOCS / "how-to/database.md"
SHOP = """
from decimal import Decimal
from sqlalchemy import Numeric
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
"""


def test_every_block_runs_and_the_table_is_made(shop: TutorialShop) -> None:
    names = shop.read(PAGE)
    asyncio.run(started(names))
    assert inspect(shop.module.engine).has_table("payments")
    for name in ("sqlite_engine", "test_engine", "psycopg_engine"):
        names[name].dispose()


async def started(names: dict[str, Any]) -> None:
    async with names["lifespan"](FastAPI()):
        pass
    await names["async_engine"].dispose()


def test_a_report_reads_the_table(shop: TutorialShop) -> None:
    names = shop.read(PAGE)
    till, order = shop.till(shop.payments.ShopPayme), shop.order()
    till.create(order_id=order)
    till.cancel(reason=3)
    till.create("B", order_id=order)
    till.perform("B")
    with shop.module.SessionLocal() as db:
        assert names["payments_of"](db, order) == ["5000.00 som, CANCELLED_DURING_INIT", "5000.00 som, SUCCESSFULLY"]


def test_the_columns_are_all_on_the_page(shop: TutorialShop) -> None:
    names = shop.read(PAGE)
    page = PAGE.read_text()
    rows = [line.split("|")[1] for line in page[page.index("| Column |") :].splitlines() if line.startswith("| `")]
    told = {name.strip(" `") for row in rows for name in row.split(",")}
    assert told >= set(names["PaymentTransaction"].__table__.c.keys())


def test_a_table_in_a_base_of_ones_own_takes_payments(shop: TutorialShop) -> None:
    names = shop.read(PAGE)
    shop.module.Base.metadata.create_all(shop.module.engine)
    till = shop.till(shop.payments.ShopPayme, payment_model=names["Payment"])
    assert till.create(order_id=shop.order())["state"] == 1
    with shop.module.SessionLocal() as db:
        assert db.query(names["Payment"]).one().note is None
        assert db.query(names["PaymentTransaction"]).count() == 0


def test_sqlite_writes_ahead(shop: TutorialShop) -> None:
    engine = shop.read(PAGE)["sqlite_engine"]
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA busy_timeout")) == 15_000
    engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder where a merchant has set Alembic up, and no migration yet."""
    (tmp_path / "shop.py").write_text(SHOP)
    command.init(Config(str(tmp_path / "alembic.ini")), str(tmp_path / "migrations"))
    change(
        tmp_path / "alembic.ini",
        "sqlalchemy.url = driver://user:pass@localhost/dbname",
        "sqlalchemy.url = sqlite:///own.db",
    )
    change(
        tmp_path / "migrations/env.py",
        "target_metadata = None",
        "from shop import Base\ntarget_metadata = Base.metadata",
    )
    return tmp_path


def test_a_history_of_ones_own_leaves_our_tables_alone(folder: Path) -> None:
    engine = create_engine(f"sqlite:///{folder}/own.db")
    run_migrations(engine)
    engine.dispose()
    alembic(folder, "revision --autogenerate -m spoilt")
    (spoilt,) = (folder / "migrations/versions").glob("*_spoilt.py")
    assert "op.drop_table('payments')" in spoilt.read_text(), "without the page's advice nothing is lost any more"
    spoilt.unlink()
    env = folder / "migrations/env.py"
    change(env, "target_metadata = Base.metadata", f"target_metadata = Base.metadata\n{block('def include_name').text}")
    change(env, "target_metadata=target_metadata", "target_metadata=target_metadata, include_name=include_name")
    alembic(folder, "revision --autogenerate -m orders", "upgrade head", "check")
    assert tables(folder) == {"alembic_version", "orders", "payments", "paytechuz_version"}


@pytest.mark.skipif(Version(alembic_version) < Version("1.16"), reason="the page shows alembic.ini as it is since 1.16")
def test_our_migrations_may_stand_in_a_history_of_ones_own(folder: Path) -> None:
    alembic(folder, "revision --autogenerate -m orders", "upgrade head")
    ini = folder / "alembic.ini"
    change(ini, "path_separator = os\n", blocks(PAGE, "ini")[0].text)
    old = "from shop import Base\ntarget_metadata = Base.metadata"
    change(folder / "migrations/env.py", old, block("target_metadata = [").text)
    (commands,) = blocks(PAGE, "sh")
    merge_and_upgrade = [line.removeprefix("alembic ") for line in commands.text.splitlines()]
    # and the merchant's next migration is written where the others are
    alembic(folder, *merge_and_upgrade, "check", "revision -m next", "upgrade head")
    assert tables(folder) == {"alembic_version", "orders", "payments"}
    assert len(list((folder / "migrations/versions").glob("*.py"))) == 3


def test_alembic_writes_the_migration_of_a_table_in_ones_own_base(folder: Path) -> None:
    with (folder / "shop.py").open("a") as shop:
        shop.write(block("class Payment(").text)
    mako = folder / "migrations/script.py.mako"
    change(
        mako, "import sqlalchemy as sa\n", f"import sqlalchemy as sa\n{block('import paytechuz_core.sql.model').text}"
    )
    alembic(folder, "revision --autogenerate -m payments", "upgrade head", "check")
    assert tables(folder) == {"alembic_version", "orders", "shop_payments"}


def block(start: str) -> Block:
    """Find a block of the page by what it contains."""
    (found,) = (each for each in blocks(PAGE, "python") if start in each.text)
    return found


def change(path: Path, old: str, new: str) -> None:
    """Edit a file, as the page says."""
    before = path.read_text()
    assert old in before, f"{path.name} has no {old!r}"
    path.write_text(before.replace(old, new))


def alembic(folder: Path, *commands: str) -> None:
    """Run Alembic's own command line, several commands in one process."""
    calls = [each.replace('"with paytechuz"', "with_paytechuz").split() for each in commands]
    program = f"from alembic.config import main; [main(argv) for argv in {calls!r}]"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def tables(folder: Path) -> set[str]:
    """Name the tables of the merchant's database."""
    with closing(sqlite3.connect(folder / "own.db")) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
