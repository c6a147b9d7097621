"""Alembic's entry: run the migrations on the connection and in the database transaction of `run_migrations`."""

from alembic import context

from paytechuz_core.sql.migrations import VERSION_TABLE
from paytechuz_core.sql.model import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
