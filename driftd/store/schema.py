"""The tables, in types that mean the same on SQLite and PostgreSQL.

Times are fixed-width UTC text (`entries.stamp`), JSON is text: both compare and hash the same everywhere. Numbers
that order things are given by driftd, not by the database, so that a replay gives the same numbers.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

findings = Table(
    "findings",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("episode", Integer, primary_key=True, autoincrement=False),  # the same difference may come back: 1, 2, ...
    Column("opened", String(27), nullable=False),
    Column("confirmed", String(27), nullable=False),
    Column("closed", String(27), nullable=True),
    Column("closed_by", Text, nullable=False),
    Column("tenant", String(253), nullable=False),
    Column("namespace", String(253), nullable=False),
    Column("kind", String(253), nullable=False),
    Column("direction", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_findings_closed", "closed"),
    Index("ix_findings_opened", "opened"),
    Index("ix_findings_tenant_opened", "tenant", "opened"),
    Index("ix_findings_namespace_opened", "namespace", "opened"),
)
"""Lives of findings: one row each time one opens."""

intents = Table(
    "intents",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("finding", String(128), nullable=False),
    Column("episode", Integer, nullable=False),  # of the finding; 0 if it was never told
    Column("group", String(253), nullable=False),
    Column("kind", String(253), nullable=False),
    Column("namespace", String(253), nullable=False),
    Column("name", String(253), nullable=False),
    Column("verb", String(16), nullable=False),
    Column("uid", String(64), nullable=False),
    Column("resource_version", String(64), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("commit", String(128), nullable=False),
    Column("at", String(27), nullable=False),
    Column("trace", String(64), nullable=False),
    Column("result", String(16), nullable=True),  # empty until the write is settled
    Column("settled", String(27), nullable=True),
    Column("result_version", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Index("ix_intents_result", "result"),
    Index("ix_intents_finding", "finding", "episode"),
)
"""Writes to the cluster: durable before they leave, completed by what came of them."""

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", String(27), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("prev_hash", String(64), nullable=False, unique=True),  # one successor a row: the chain cannot fork
    Column("hash", String(64), nullable=False),
)
"""The evidence: append-only, hash-chained (`chain`)."""

state = Table(
    "state",
    metadata,
    Column("key", String(512), primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", String(27), nullable=False),
)
"""What must be found again after a restart: the accepted model, namespace uids, orphans, the epoch."""

pages = Table(
    "pages",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("life", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("class", String(16), nullable=False),
    Column("urgency", String(16), nullable=False),
    Column("tenant", String(253), nullable=False),
    Column("namespace", String(253), nullable=False),
    Column("opened", String(27), nullable=False),
    Column("settled", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_pages_settled", "settled"),
    Index("ix_pages_opened", "opened"),
)
"""Pages, one row a life: written in the transaction of the finding that they are about (D9)."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("life", BigInteger, primary_key=True, autoincrement=False),
    Column("destination", String(128), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("resolved", Integer, nullable=False),
    Column("urgency", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("at", String(27), nullable=False),
    Column("refused", Text, nullable=False),
    Column("superseded", Integer, nullable=False),
)
"""How far each destination has been told of each page."""

writers = Table(
    "writers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("applied", BigInteger, nullable=False),
    Column("head_seq", BigInteger, nullable=False),
    Column("head_hash", String(64), nullable=False),
    Column("at", String(27), nullable=False),
)
"""A row for each start of the process: the number of its last applied entry, and the chain's head then."""
