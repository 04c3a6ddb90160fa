"""Findings, intents, the audit chain, remembered state and the writers' watermarks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "findings",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("episode", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("opened", sa.String(27), nullable=False),
        sa.Column("confirmed", sa.String(27), nullable=False),
        sa.Column("closed", sa.String(27), nullable=True),
        sa.Column("closed_by", sa.Text, nullable=False),
        sa.Column("tenant", sa.String(253), nullable=False),
        sa.Column("namespace", sa.String(253), nullable=False),
        sa.Column("kind", sa.String(253), nullable=False),
        sa.Column("direction", sa.String(16), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("ix_findings_closed", "findings", ["closed"])
    op.create_index("ix_findings_opened", "findings", ["opened"])
    op.create_index("ix_findings_tenant_opened", "findings", ["tenant", "opened"])
    op.create_index("ix_findings_namespace_opened", "findings", ["namespace", "opened"])
    op.create_table(
        "intents",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("finding", sa.String(128), nullable=False),
        sa.Column("episode", sa.Integer, nullable=False),
        sa.Column("group", sa.String(253), nullable=False),
        sa.Column("kind", sa.String(253), nullable=False),
        sa.Column("namespace", sa.String(253), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("verb", sa.String(16), nullable=False),
        sa.Column("uid", sa.String(64), nullable=False),
        sa.Column("resource_version", sa.String(64), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("commit", sa.String(128), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("trace", sa.String(64), nullable=False),
        sa.Column("result", sa.String(16), nullable=True),
        sa.Column("settled", sa.String(27), nullable=True),
        sa.Column("result_version", sa.String(64), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_index("ix_intents_result", "intents", ["result"])
    op.create_index("ix_intents_finding", "intents", ["finding", "episode"])
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "state",
        sa.Column("key", sa.String(512), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
    )
    op.create_table(
        "writers",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("applied", sa.BigInteger, nullable=False),
        sa.Column("head_seq", sa.BigInteger, nullable=False),
        sa.Column("head_hash", sa.String(64), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
    )
