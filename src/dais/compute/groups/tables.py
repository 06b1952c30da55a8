"""Resource groups and their nodes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, Text

from dais.kit.database import Document, Instant, metadata

resource_groups = Table(
    "resource_groups",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("engine", String(32), nullable=False),
    # "" where a job has to name its image.
    Column("default_image", String(255), nullable=False),
    # What its engine was told when it was attached, as JSON; no secret is among it.
    Column("options", Document, nullable=False),
    # Why its engine cannot be reached now, in words; NULL while it can.
    Column("problem", Text),
    Column("created_at", Instant, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("group_name", String(63), ForeignKey("resource_groups.name"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("cpu_millis", BigInteger, nullable=False),
    Column("mem", BigInteger, nullable=False),
    Column("gpus", Document, nullable=False),
    Column("isolation", Document, nullable=False),
    # Bytes of the disk that jobs are staged on, and why nothing is started here, in words: that disk is nearly full.
    Column("disk_free", BigInteger),
    Column("disk_size", BigInteger),
    Column("no_room", Text),
    # What is used there by what Dais did not start.
    Column("others_cpu_millis", BigInteger, nullable=False),
    Column("others_mem", BigInteger, nullable=False),
    Column("others_gpu", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
    # Seconds after which its engine ends any job there.
    Column("longest", BigInteger),
)
