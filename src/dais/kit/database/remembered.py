"""What a process remembers of its database between units of work, where it is the only one that writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MOST = 20_000
"""Values that are kept of one topic; above it, all of them are dropped."""


class Remembered:
    """Values by topic and key. What is committed under a topic drops all of the topic's, and what was read before it.

    A unit notes the time (`now`) before its snapshot is taken, and what it read is kept only if the topic has not been
    dropped since: so what an older snapshot shows is never kept after a change. Any thread may ask; one drops.
    """

    def __init__(self) -> None:
        self._topics: dict[str, dict[Any, Any]] = {}
        self._dropped: dict[str, int] = {}
        self.now = 0

    def get(self, topic: str, key: Any, since: int) -> Any:
        """The value, or None; None, too, for a unit whose snapshot may be older than it."""
        values = self._topics.get(topic)
        found = None if values is None else values.get(key)
        return found if self._dropped.get(topic, 0) <= since else None

    def put(self, topic: str, key: Any, value: Any, since: int) -> None:
        """Keep a value that was read from a snapshot of the time `since`, or a later one."""
        values = self._topics.setdefault(topic, {})  # before the look at what was dropped: that takes it away
        if len(values) >= MOST:
            values.clear()
        if self._dropped.get(topic, 0) <= since:
            values[key] = value

    def drop(self, topics: Iterable[str]) -> None:
        """Forget what is known of the topics; called after the commit, and before it is answered."""
        self.now += 1
        for topic in topics:
            self._dropped[topic] = self.now
            self._topics.pop(topic, None)
