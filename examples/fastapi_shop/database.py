"""The shop's database: one engine, and a session of its own for each request."""

import os
from collections.abc import Iterator

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

engine = create_engine(os.environ.get("SHOP_DATABASE", "sqlite:///shop.db"))
SessionLocal = sessionmaker(bind=engine)


def get_db() -> Iterator[Session]:
    """Give a request its session."""
    with SessionLocal() as db:
        yield db
