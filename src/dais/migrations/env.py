"""Alembic's entry: runs the steps on the connection that `kit.database.migrate` gives it."""

from __future__ import annotations

from alembic import context

from dais.kit.database import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
