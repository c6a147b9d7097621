"""The table payments."""

import sqlalchemy as sa
from alembic import op

from paytechuz_core.sql.model import ExactText, UtcTime, json_type

revision = "paytechuz_0001"
down_revision = None
branch_labels = ("paytechuz",)
depends_on = None


INDEXES = {
    "ix_payments_provider_time": ["gateway", "provider_time"],
    "ix_payments_account_id": ["account_id"],
}


def upgrade() -> None:
    """Create it, or what is missing of it: MariaDB commits each statement, so an interrupted migration is half done."""
    there = existing()
    if "payments" not in there:
        create_table()
    for name, columns in INDEXES.items():
        if name not in there:
            op.create_index(name, "payments", columns)


def existing() -> set[str]:
    """Name the table and the indexes that are there already; none where Alembic only writes SQL."""
    if op.get_context().as_sql:
        return set()
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table("payments"):
        return set()
    return {"payments", *(str(index["name"]) for index in inspector.get_indexes("payments"))}


def create_table() -> None:
    """Create the table."""
    op.create_table(
        "payments",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("gateway", ExactText(32), nullable=False),
        sa.Column("transaction_id", ExactText(64), nullable=False),
        sa.Column("account_id", ExactText(255), nullable=False),
        sa.Column("amount_tiyin", sa.BigInteger(), nullable=False),
        sa.Column("account", json_type(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Integer(), nullable=True),
        sa.Column("extra_data", json_type(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("performed_at", UtcTime(), nullable=True),
        sa.Column("cancelled_at", UtcTime(), nullable=True),
        sa.Column("provider_time", sa.BigInteger(), nullable=True),
        sa.Column("lifetime", sa.BigInteger(), nullable=False),
        sa.Column("hold", ExactText(400), nullable=True),
        sa.Column("receivers", json_type(), nullable=True),
        sa.Column("fiscal_perform", json_type(), nullable=True),
        sa.Column("fiscal_cancel", json_type(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.UniqueConstraint("gateway", "transaction_id", name="uq_payments_gateway_transaction_id"),
        sa.UniqueConstraint("hold", name="uq_payments_hold"),
        sa.CheckConstraint("amount_tiyin > 0", name="ck_payments_amount_tiyin"),
    )


def downgrade() -> None:
    """Drop it. Payments are the merchant's books: there is no way back by accident."""
    message = "paytechuz never drops a table of payments; drop it by hand if you mean to"
    raise NotImplementedError(message)
