"""When interactive jobs were last used, how many there may be, and the files that users have in the home of each."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text

from dais.kit.database import Id, Instant, metadata

idle_watches = Table(
    "idle_watches",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("active_at", Instant),
    # When its user was warned that it is about to be stopped; NULL once it was used again.
    Column("warned_at", Instant),
    Column("ends_at", Instant),
)

dotfiles = Table(
    "dotfiles",
    metadata,
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("path", String(255), primary_key=True),
    # The content, sealed by the installation's key: there are tokens and keys among them.
    Column("sealed", Text, nullable=False),
    Column("mode", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("set_at", Instant, nullable=False),
)

interactive_limits = Table(
    "interactive_limits",
    metadata,
    # An account or an organization; neither is ever deleted.
    Column("place_id", Id, primary_key=True),
    # Interactive jobs of one user; 0: no limit. Where there is no row the place above says it.
    Column("most", Integer, nullable=False),
)
