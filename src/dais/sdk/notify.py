"""Who is told when your jobs end."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Request, Resource, operation
from dais.wire.answers import Notify, SigningSecret


class NotifyApi(Resource):
    """Your default for jobs that name nobody, and the key of your webhooks."""

    @operation
    def get(self) -> Flow[Notify]:
        """Who is told, and whether webhooks are signed."""
        return (yield from self.call(Request("GET", "/v1/notify"), Notify))

    @operation
    def set(self, targets: Sequence[str]) -> Flow[Notify]:
        """`https://…` or `mail:ADDRESS`; an empty list for nobody. Raises Invalid."""
        body = msgspec.json.encode({"targets": list(targets)})
        return (yield from self.call(Request("PUT", "/v1/notify", body=body), Notify))

    @operation
    def new_secret(self) -> Flow[SigningSecret]:
        """A new key that your webhooks are signed with, in place of the one before; it is told this once."""
        return (yield from self.call(Request("POST", "/v1/notify/secret"), SigningSecret))


class Notifications(NotifyApi, Blocking):
    """Notifications, blocking."""


class AsyncNotifications(NotifyApi, Asynchronous):
    """Notifications, on asyncio."""
