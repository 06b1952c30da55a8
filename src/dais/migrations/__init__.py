"""The schema's history: one Alembic tree for SQLite and PostgreSQL.

A new step is written by `python scripts/new_migration.py "what changes"` and then read by a person.
"""
