"""Parts of the server that are imported and made when somebody first asks for them.

A server that only runs jobs never shows a page: the pages and what they alone need are a tenth of its memory.
`tests/unit/app/test_memory.py` names what a started server must do without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class FirstUse:
    """An ASGI application that `make` imports and makes with the first request, in a thread: the event loop goes on."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._making = asyncio.Lock()
        self._made: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request. What `make` raises is raised, and the next request tries again."""
        if self._made is None:
            async with self._making:
                if self._made is None:
                    self._made = await asyncio.to_thread(self._make)
        await self._made(scope, receive, send)
