"""The style page: every component, with what makes it, for whoever builds a page or doubts one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from dais.kit.clock import SECOND, to_rfc3339
from dais.web.frame import Frame
from dais.web.guard import visitor
from dais.web.view import MARKS

COLOURS = (
    *("ground", "surface", "sunken", "hover", "chosen", "line", "edge", "text", "muted", "accent"),
    *("running", "succeeded", "failed", "waiting", "paused", "cancelled", "warning", "warning-ground"),
)
SIZES = (12, 13, 15, 20, 28)


async def show_style(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    now = frame.services.clock.now()
    return frame.page(
        request,
        "style.html",
        who,
        marks=MARKS,
        colours=COLOURS,
        sizes=SIZES,
        earlier=to_rfc3339(now - 200 * SECOND),
        id=who.actor.id,
    )
