"""The shop's database: one engine, and a session of its own for each request."""

from collections.abc import Iterator

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

import settings

engine = create_engine(settings.DATABASE_URL)
SessionLocal = sessionmaker(bind=engine)


def get_db() -> Iterator[Session]:
    """Give a request its session."""
    with SessionLocal() as db:
        yield db
