"""SQLAlchemy's room: the table, its migrations, the repositories, and what handlers with a session share."""

from paytechuz_core.sql.handler import AsyncSqlHandler, SqlHandler
from paytechuz_core.sql.migrations import arun_migrations, run_migrations
from paytechuz_core.sql.model import PaymentMixin, PaymentTransaction
from paytechuz_core.sql.repository import AsyncSqlRepository, SqlRepository
from paytechuz_core.sql.settings import ClickSettings, PaymeSettings

__all__ = [
    "AsyncSqlHandler",
    "AsyncSqlRepository",
    "ClickSettings",
    "PaymeSettings",
    "PaymentMixin",
    "PaymentTransaction",
    "SqlHandler",
    "SqlRepository",
    "arun_migrations",
    "run_migrations",
]
