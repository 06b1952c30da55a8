"""What a process remembers of its database between units of work, where it is the only one that writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

MOST = 20_000
"""Values that are kept of one topic; above it, all of them are dropped."""


class _Listening(Protocol):
    def listen(self, topic: str, callback: Callable[[], None]) -> None: ...


class Remembered:
    """Values by topic and key. A hint of the topic drops all of the topic's, and whatever was read before it.

    A unit notes the generation before it reads, and what it read is kept only if no topic was hinted since: so what
    an older snapshot shows is never kept after a change.
    """

    def __init__(self, hints: _Listening) -> None:
        self._hints = hints
        self._topics: dict[str, dict[Any, Any]] = {}
        self.generation = 0

    def get(self, topic: str, key: Any) -> Any:
        """The value, or None."""
        values = self._topics.get(topic)
        return None if values is None else values.get(key)

    def put(self, topic: str, key: Any, value: Any, generation: int) -> None:
        """Keep a value that was read when the generation was this."""
        values = self._topics.get(topic)
        if values is None:
            values = self._topics.setdefault(topic, {})
            self._hints.listen(topic, lambda: self.forget(topic))
        elif len(values) >= MOST:
            values.clear()
        if generation == self.generation:
            values[key] = value

    def forget(self, topic: str) -> None:
        """Drop what is known of a topic."""
        self.generation += 1
        self._topics[topic] = {}
