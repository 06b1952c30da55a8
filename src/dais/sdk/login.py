"""Signing this machine in from a browser, here or elsewhere (RFC 8628), and out."""

from __future__ import annotations

import time

import msgspec

from dais import __version__
from dais.sdk.errors import DaisError, Unavailable
from dais.sdk.flow import Asynchronous, Blocking, Flow, Pause, Request, Resource, operation
from dais.wire.answers import DeviceLogin, DeviceToken

PENDING, SLOW_DOWN = "authorization-pending", "slow-down"


class LoginApi(Resource):
    """A sign-in that a person confirms in the pages: `begin`, show its code and its address, `wait`."""

    @operation
    def begin(self, machine: str) -> Flow[DeviceLogin]:
        """Begin one for a machine of this name; needs no token. Raises TooMany."""
        body = msgspec.json.encode({"machine": machine, "client": f"dais {__version__}"})
        return (yield from self.call(Request("POST", "/v1/login/device", body=body), DeviceLogin))

    @operation
    def ask(self, begun: DeviceLogin) -> Flow[DeviceToken]:
        """The token, once it was confirmed. Raises Invalid `authorization-pending`, `slow-down`, `access-denied`,
        `expired-token`."""
        return (yield from self._ask(begun))

    @operation
    def wait(self, begun: DeviceLogin) -> Flow[DeviceToken]:
        """Ask until somebody has confirmed. Raises Invalid `access-denied`, `expired-token`.

        A server that does not answer meanwhile is asked again, for as long as the code is good.
        """
        interval = float(begun.interval)
        end = time.monotonic() + begun.expires_in
        while True:
            yield Pause(interval)
            try:
                return (yield from self._ask(begun))
            except Unavailable:
                if time.monotonic() > end:
                    raise
            except DaisError as error:
                if error.code not in (PENDING, SLOW_DOWN):
                    raise
                told = error.fields.get("interval")
                interval = float(told) if isinstance(told, int | float) else interval

    @operation
    def end(self) -> Flow[None]:
        """End the token that this client uses. Raises Unauthenticated when it has ended already."""
        yield from self.send(Request("POST", "/v1/logout"))

    def _ask(self, begun: DeviceLogin) -> Flow[DeviceToken]:
        body = msgspec.json.encode({"device_code": begun.device_code})
        return (yield from self.call(Request("POST", "/v1/login/token", body=body), DeviceToken))


class Login(LoginApi, Blocking):
    """Signing in, blocking."""


class AsyncLogin(LoginApi, Asynchronous):
    """Signing in, on asyncio."""
